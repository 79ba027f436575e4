"""Stubble, beards and moustaches. Knows nothing of lips; they are drawn over it."""

import numpy as np

from soul.training.world.color import Rgb, light, mix, shadow
from soul.training.world.head import face_outline, jaw_half
from soul.training.world.identity import CENTRE, Identity
from soul.training.world.pen import Brush, Curve, curve, mirror, resample, taper


def beard_outline(who: Identity, depth: float) -> Curve:
    """The area of a beard on cheeks and chin; `depth` grows it below the chin."""
    face = who.face
    y = face.mouth_y
    outer = [
        (face.cheek + 0.5, 118.0),
        (face.cheek + depth * 0.3, 138.0),
        (jaw_half(face, face.jaw_y) + depth * 0.6, face.jaw_y + 2),
        (jaw_half(face, face.chin_y - 12) + depth * 0.6, face.chin_y - 11 + depth * 0.6),
        (jaw_half(face, face.chin_y - 2), face.chin_y - 2 + depth),
    ]
    inner = [
        (0.0, y - 14.5),
        (13.0, y - 16.0),
        (32.0, y - 9.0),
        (42.0, y - 16.0),
        (face.cheek - 7, 128.0),
        (face.cheek - 6, 116.0),
    ]
    loop = [*inner, *outer, (0.0, face.chin_y + depth)]
    right = curve(loop)
    return np.concatenate((right, mirror(right, 0.0)[::-1])) + np.asarray((CENTRE, 0.0), np.float32)


def paint_stubble(brush: Brush, who: Identity) -> None:
    """The shade of a shaved beard, inside the face."""
    if who.beard == "stubble":
        tone = mix(who.brows.color, shadow(who.skin, 0.8), 0.5)
        with brush.inside(face_outline(who.face)):
            brush.fill(beard_outline(who, 0.0), tone, 0.2, 5.0)


def paint_beard(brush: Brush, who: Identity) -> None:
    """A full beard or goatee, over the edge of the face."""
    if who.beard not in ("full", "goatee"):
        return
    tone = mix(who.hair.color, who.brows.color, 0.35)
    if who.beard == "full":
        shape = beard_outline(who, 7.0)
        anchor = 0.0
    else:
        face, y = who.face, who.face.mouth_y
        right = curve(
            [
                (0, y - 14),
                (12, y - 15.5),
                (30, y - 9),
                (37, y + 3),
                (31, y + 17),
                (face.chin + 6, face.chin_y - 4),
                (0, face.chin_y + 5),
            ]
        )
        shape = np.concatenate((right, mirror(right, 0.0)[::-1])) + np.asarray(
            (CENTRE, 0.0), np.float32
        )
        anchor = 0.2
    brush.fill(shape, shadow(who.skin, 0.85), 0.5, 3.0)
    brush.fill(shape, mix(tone, shadow(who.skin, 0.5), 0.12 + anchor * 0.3), 0.94, 1.6)
    with brush.inside(shape):
        _paint_beard_strands(brush, who, tone, shape)


def _paint_beard_strands(brush: Brush, who: Identity, tone: Rgb, shape: Curve) -> None:
    rng = np.random.default_rng(who.hair.seed + 1)
    box = (shape.min(0), shape.max(0))
    for _ in range(260):
        x, y = rng.uniform(box[0][0], box[1][0]), rng.uniform(box[0][1], box[1][1])
        lean = (x - CENTRE) * 0.06
        strand = np.asarray(
            [
                (x, y),
                (x + lean * 0.7 + rng.normal(0, 0.5), y + 5),
                (x + lean + rng.normal(0, 0.5), y + 10),
            ],
            np.float32,
        )
        tint = light(tone, 0.28) if rng.random() < 0.4 else shadow(tone, 0.7)
        brush.fill(taper(resample(strand, 5), 1.3), tint, 0.38)
    side = who.scene.light
    brush.glow(CENTRE + side * 34, 168, 22, 26, light(tone, 0.5), 0.28)
    brush.glow(CENTRE - side * 48, 172, 26, 40, shadow(tone, 1.0), 0.5)


def paint_moustache(brush: Brush, who: Identity) -> None:
    """A moustache, alone or over a beard."""
    if who.beard not in ("full", "goatee", "moustache"):
        return
    tone = mix(who.hair.color, who.brows.color, 0.35)
    y, half = who.face.mouth_y - who.mouth.upper, who.mouth.half
    rng = np.random.default_rng(who.hair.seed + 9)
    for s in (-1.0, 1.0):
        shape = curve(
            [
                (CENTRE + s * 1.0, y - 7.5),
                (CENTRE + s * 12, y - 8.0),
                (CENTRE + s * half * 0.8, y - 1.0),
                (CENTRE + s * (half + 3), y + 8.0),
                (CENTRE + s * half * 0.72, y + 3.5),
                (CENTRE + s * 10, y - 0.5),
                (CENTRE + s * 1.0, y - 1.0),
            ],
            closed=True,
        )
        brush.fill(shape, tone, 0.92, 0.9)
        with brush.inside(shape):
            for _ in range(40):
                t = rng.uniform(0, 1)
                step = np.asarray((s * 5.0, 4.0), np.float32)
                a = np.asarray((CENTRE + s * (1 + t * half * 0.8), y - 8 + 7 * t), np.float32)
                strand = np.stack((a, a + step, a + 1.8 * step)).astype(np.float32)
                tint = light(tone, 0.3) if rng.random() < 0.4 else shadow(tone, 0.8)
                brush.fill(taper(strand, 1.2), tint, 0.4)

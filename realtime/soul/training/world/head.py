"""The skin of a person: neck, ears, the shaded face and nose, beard shade, freckles, wrinkles.

What opens and closes (eyes, mouth) and the brows are drawn over this; see `live`.
"""

import numpy as np

from soul.training.world.color import Rgb, light, luma, mix, rgb, shadow
from soul.training.world.identity import CENTRE, FaceShape, Identity
from soul.training.world.pen import Brush, Curve, curve, linear, mirror, radial, taper

BLUSH = rgb("e0625c")


def jaw_half(face: FaceShape, y: float) -> float:
    """Half-width of the lower face at height `y`: a superellipse, squarer for wide jaws."""
    t = float(np.clip((y - 126.0) / (face.chin_y - 126.0), 0.0, 1.0))
    square = 1.6 + 5.0 * (face.jaw / face.cheek - 0.7)
    return float(face.cheek * (1.0 - t**square) ** 0.66)


def shine(skin: Rgb, share: float) -> Rgb:
    """Light on skin; dark skin takes a deeper, warmer light."""
    return light(skin, share * (0.55 + 0.45 * luma(skin)))


def face_outline(face: FaceShape) -> Curve:
    """The closed outline of skull and jaw."""
    right = [
        (30.0, face.crown + 6.0),
        (face.temple * 0.84, face.crown + 25.0),
        (face.temple, 82.0),
        (face.cheek, 110.0),
    ]
    depth = face.chin_y - 126.0
    for t in (0.1, 0.32, 0.52, 0.7, 0.83, 0.925, 0.98):
        right.append((jaw_half(face, 126.0 + t * depth), 126.0 + t * depth))
    loop = [(0.0, face.crown), *right, (0.0, face.chin_y), *[(-x, y) for x, y in reversed(right)]]
    return curve(loop, closed=True) + np.asarray((CENTRE, 0.0), np.float32)


def neck_outline(face: FaceShape) -> Curve:
    """The neck down into the collar."""
    n = face.neck
    right = curve(
        [(n + 2, 150), (n, 180), (n + 1, 202), (n + 6, 218), (n + 18, 232), (n + 30, 262)]
    )
    return np.concatenate((right, mirror(right, 0.0)[::-1])) + np.asarray((CENTRE, 0.0), np.float32)


def paint_neck(brush: Brush, who: Identity) -> None:
    """Neck with the chin's cast shadow."""
    face, side = who.face, who.scene.light
    shape = neck_outline(face)
    dark, base = shadow(who.skin, 0.5), shadow(who.skin, 0.14)
    brush.pour(
        shape,
        linear(
            (CENTRE, 186),
            (CENTRE, 232),
            [(0.0, dark, 1.0), (0.45, shadow(who.skin, 0.34), 1.0), (1.0, base, 1.0)],
        ),
    )
    with brush.inside(shape):
        brush.glow(CENTRE - 40 * side, 215, 34, 70, shadow(who.skin, 0.75), 0.6)
        brush.glow(CENTRE + 26 * side, 226, 20, 26, light(who.skin, 0.25), 0.5)
        for s in (-1, 1):
            cord = curve([(CENTRE + s * 22, 200), (CENTRE + s * 14, 222), (CENTRE + s * 7, 238)])
            brush.line(cord, shadow(who.skin, 0.6), 3.0, 0.3, 2.0)
        for s in (-1, 1):
            bone = curve([(CENTRE + s * 8, 243), (CENTRE + s * 24, 240), (CENTRE + s * 46, 237)])
            brush.line(bone, shadow(who.skin, 0.6), 2.4, 0.35, 1.4)


def paint_ears(brush: Brush, who: Identity) -> None:
    """Both ears, behind the face."""
    face = who.face
    for s in (-1.0, 1.0):
        x, y, k = CENTRE + s * (face.cheek - 1.5), 120.0, face.ear
        lit = 0.12 if s == who.scene.light else 0.3
        ear = curve(
            [(x - s * 5, y - 16 * k), (x + s * 5 * k, y - 20 * k), (x + s * 10.5 * k, y - 12 * k),
             (x + s * 9 * k, y + 4 * k), (x + s * 5 * k, y + 17 * k), (x - s * 4, y + 18 * k)],
            closed=True,
        )  # fmt: skip
        brush.fill(ear, mix(shadow(who.skin, lit), BLUSH, 0.08))
        with brush.inside(ear):
            rim = curve(
                [
                    (x + s * 3, y - 14 * k),
                    (x + s * 7 * k, y - 10 * k),
                    (x + s * 5 * k, y + 4),
                    (x + s * 1, y + 10 * k),
                ]
            )
            brush.line(rim, shadow(who.skin, 0.75), 3.0, 0.55, 1.2)
            brush.glow(x + s * 2, y, 7, 13, shadow(mix(who.skin, BLUSH, 0.2), 0.8), 0.6)


def paint_face(brush: Brush, who: Identity) -> None:
    """The face's skin with its light, without eyes, brows and mouth."""
    face, side, skin = who.face, who.scene.light, who.skin
    shape = face_outline(face)
    lit, mid, dark = light(skin, 0.16), skin, shadow(skin, 0.18 + 0.2 * luma(skin))
    brush.pour(
        shape,
        radial(
            (CENTRE + 26 * side, 92),
            135.0,
            [(0.0, lit, 1.0), (0.42, mid, 1.0), (0.72, shadow(skin, 0.14), 1.0), (1.0, dark, 1.0)],
        ),
    )
    with brush.inside(shape):
        _paint_planes(brush, who, shape)
        _paint_sockets(brush, who)
        _paint_nose(brush, who)
        _paint_mouth_ground(brush, who)
        _paint_age(brush, who)
        _paint_freckles(brush, who)


def _paint_planes(brush: Brush, who: Identity, shape: Curve) -> None:
    face, side, skin = who.face, who.scene.light, who.skin
    soft = 0.55 + 0.45 * min(1.6 * luma(skin), 1.0)  # dark skin drowns in full shadows
    far = CENTRE - side * face.cheek
    brush.glow(far, 140, 38, 80, shadow(skin, 0.75), 0.7 * soft)
    brush.glow(far + side * 4, 80, 26, 46, shadow(skin, 0.6), 0.45 * soft)
    brush.glow(CENTRE + side * face.cheek, 162, 24, 46, shadow(skin, 0.6), 0.4 * soft)
    brush.glow(CENTRE, face.chin_y + 5, 62, 20, shadow(skin, 0.75), 0.55 * soft)
    for s in (-1, 1):
        x = CENTRE + s * (face.eye_x + 6)
        brush.glow(x, 142, 30, 23, BLUSH, 0.3 * who.blush)
        brush.glow(CENTRE + s * (face.cheek - 9), 156, 20, 30, shadow(skin, 0.6), 0.25 * soft)
    brush.glow(CENTRE + side * (face.eye_x + 5), 133, 24, 13, shine(skin, 0.6), 0.42)
    brush.glow(CENTRE - side * (face.eye_x + 3), 134, 18, 10, shine(skin, 0.5), 0.2)
    brush.glow(CENTRE + side * 14, 72, 44, 25, shine(skin, 0.55), 0.4)
    brush.glow(CENTRE + side * 4, face.chin_y - 11, 17, 9, shine(skin, 0.5), 0.35)
    brush.line(np.concatenate((shape, shape[:1])), shadow(skin, 0.8), 3.0, 0.35, 2.2)


def _paint_sockets(brush: Brush, who: Identity) -> None:
    face, eyes, skin = who.face, who.eyes, who.skin
    for s in (-1, 1):
        x = CENTRE + s * face.eye_x
        deep = 0.34 if s == who.scene.light else 0.5
        brush.glow(x - s * 9, face.eye_y - 11, 24, 16, shadow(skin, 0.75), deep)
        brush.glow(x, face.eye_y - 2, eyes.half + 9, 17, shadow(skin, 0.7), 0.4)
        brush.glow(x + s * 2, face.eye_y - 15, 15, 5, shine(skin, 0.5), 0.3)
        if eyes.shade_strength > 0.0:
            brush.glow(
                x + s * 3, face.eye_y - 6, eyes.half + 7, 13, eyes.shade, eyes.shade_strength
            )
        brush.glow(x, face.eye_y + 14, eyes.half, 6, shadow(mix(skin, BLUSH, 0.15), 0.6), 0.16)


def _paint_nose(brush: Brush, who: Identity) -> None:
    face, nose, side, skin = who.face, who.nose, who.scene.light, who.skin
    y, w = face.nose_y, nose.half
    dark = shadow(mix(skin, BLUSH, 0.1), 0.85)
    flank = curve(
        [
            (CENTRE - side * 9, face.eye_y - 12),
            (CENTRE - side * 6, 116),
            (CENTRE - side * 8, 128),
            (CENTRE - side * (w - 1), y - 3),
        ]
    )
    brush.line(flank, dark, 9.0, 0.3, 4.5)
    brush.glow(CENTRE, y - 1, w + 9, 15, mix(skin, BLUSH, 0.5), 0.2)
    brush.glow(CENTRE - side * 4, y + 6, w + 6, 9, dark, 0.6)
    ridge = curve(
        [
            (CENTRE + side * 1.5, face.eye_y - 10),
            (CENTRE + side * 2.5, 120),
            (CENTRE + side * 2.5, y - 9),
        ]
    )
    brush.line(ridge, shine(skin, 0.7), 5.0, 0.34 * nose.bridge + 0.12, 2.6)
    brush.glow(CENTRE + side * 2.5, y - 6, 8 * nose.tip, 6.5 * nose.tip, shine(skin, 0.85), 0.65)
    for s in (-1, 1):
        wing = curve(
            [
                (CENTRE + s * (w - 3), y - 9),
                (CENTRE + s * w, y - 3),
                (CENTRE + s * (w - 2.5), y + 2.5),
            ]
        )
        brush.fill(taper(wing, 2.2, 0.0, 0.3), dark, 0.5, 0.7)
        hole = curve(
            [
                (CENTRE + s * (w - 4.5), y + 2.6),
                (CENTRE + s * (w * 0.5), y + 0.6),
                (CENTRE + s * 2.6, y + 3.4),
            ]
        )
        brush.fill(taper(hole, 3.2, 0.2, 0.0), shadow(dark, 0.6), 0.75, 0.6)
    base = curve([(CENTRE - 4.5, y + 4.6), (CENTRE, y + 5.6), (CENTRE + 4.5, y + 4.6)])
    brush.fill(taper(base, 1.6, 0.0), dark, 0.6, 0.6)


def _paint_mouth_ground(brush: Brush, who: Identity) -> None:
    face, mouth, skin = who.face, who.mouth, who.skin
    y = face.mouth_y
    brush.line(
        curve([(CENTRE, face.nose_y + 7), (CENTRE, y - mouth.upper - 3)]),
        shadow(skin, 0.6),
        4.0,
        0.28,
        1.6,
    )
    brush.glow(CENTRE, y + mouth.lower + 4, 22, 7, shadow(skin, 0.8), 0.55)
    brush.glow(CENTRE, y, mouth.half + 12, 22, mix(skin, BLUSH, 0.4), 0.14)
    for s in (-1, 1):
        brush.glow(CENTRE + s * (mouth.half + 4), y + 1, 6, 6, shadow(skin, 0.7), 0.22)


def _paint_age(brush: Brush, who: Identity) -> None:
    face, skin = who.face, who.skin
    old = float(np.clip((who.age - 34.0) / 34.0, 0.0, 1.0))
    dark = shadow(skin, 0.8)
    for s in (-1, 1):
        fold = curve(
            [
                (CENTRE + s * (who.nose.half + 2), face.nose_y - 5),
                (CENTRE + s * (who.nose.half + 11), face.nose_y + 8),
                (CENTRE + s * (who.mouth.half + 7), face.mouth_y - 3),
            ]
        )
        brush.fill(taper(fold, 3.0, 0.3), dark, 0.05 + 0.45 * old, 1.0)
        if old <= 0.12:
            continue
        x = CENTRE + s * face.eye_x
        bag = curve(
            [(x - s * 13, face.eye_y + 11), (x, face.eye_y + 16), (x + s * 14, face.eye_y + 12)]
        )
        brush.fill(taper(bag, 2.4, 0.1), dark, 0.5 * old, 0.8)
        for k in range(3):
            e = x + s * (who.eyes.half + 3)
            crow = curve(
                [
                    (e, face.eye_y - 2 + 3 * k),
                    (e + s * 4, face.eye_y - 3 + 4 * k),
                    (e + s * 8, face.eye_y - 5 + 6 * k),
                ]
            )
            brush.fill(taper(crow, 1.3, 0.3), dark, 0.5 * old, 0.4)
    for k in range(3 if old > 0.25 else 0):
        y = 62.0 + 8 * k
        brow = curve(
            [
                (CENTRE - 30 + 4 * k, y + 2),
                (CENTRE - 12, y),
                (CENTRE + 12, y),
                (CENTRE + 30 - 4 * k, y + 2),
            ]
        )
        brush.fill(taper(brow, 1.6, 0.0), dark, 0.4 * old, 0.6)


def _paint_freckles(brush: Brush, who: Identity) -> None:
    if who.freckles <= 0.0:
        return
    rng = np.random.default_rng(who.hair.seed)
    for _ in range(70):
        x, y = rng.normal(CENTRE, 30.0), rng.normal(133.0, 8.0)
        r = rng.uniform(0.4, 1.0)
        brush.oval(
            x, y, r, r, shadow(mix(who.skin, rgb("a8572c"), 0.5), 0.4), who.freckles * 0.42, 0.2
        )

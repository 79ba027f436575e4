"""Hair, head cloths and moustaches, in two layers: behind the head and in front of it.

A lock of hair is a ribbon between two guide curves that run from the root to the tips; strands lie
between them, so hair flows as it grows. Units and centre as in `identity`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from soul.training.world.color import Rgb, cool, light, mix, shadow
from soul.training.world.head import jaw_half
from soul.training.world.identity import CENTRE, Identity
from soul.training.world.pen import Brush, Curve, curve, linear, mirror, resample, taper

Pairs = Sequence[tuple[float, float]]
SHIFT = np.asarray((CENTRE, 0.0), np.float32)


@dataclass(frozen=True, slots=True)
class Wave:
    """How strands curl: amplitude in units, turns from root to tip."""

    size: float = 0.0
    turns: float = 0.0


STRAIGHT = Wave()


def _guide(points: Pairs, side: float = 1.0, wave: Wave = STRAIGHT, phase: float = 0.0) -> Curve:
    line = resample(curve(points), 40)
    if wave.size > 0.0:
        t = np.linspace(0.0, 1.0, len(line), dtype=np.float32)
        line[:, 0] += (
            wave.size * np.sin(2 * np.pi * wave.turns * t + phase) * np.clip(3 * t - 0.5, 0, 1)
        )
    if side < 0:
        line = mirror(line, 0.0)
    return line + SHIFT


def _ribbon(
    brush: Brush, who: Identity, inner: Curve, outer: Curve, seed: int, depth: float = 0.0
) -> None:
    """A lock between two guides; `depth` darkens it."""
    color, side = cool(who.hair.color, depth), who.scene.light
    shape = np.concatenate((inner, outer[::-1]))
    low, high = shape.min(0), shape.max(0)
    brush.pour(
        shape,
        linear(
            (CENTRE + 60 * side, float(low[1])),
            (CENTRE - 60 * side, float(high[1]) + 1),
            [(0.0, light(color, 0.1), 1.0), (0.45, color, 1.0), (1.0, cool(color, 0.6), 1.0)],
        ),
        0.4,
    )
    with brush.inside(shape):
        _strands(brush, color, inner, outer, np.random.default_rng(who.hair.seed + seed), 54)
        _sheen(brush, color, inner, outer, 0.55 if side * (outer.mean(0)[0] - CENTRE) >= 0 else 0.3)
        brush.line(inner, cool(color, 1.0), 3.0, 0.4, 1.6)


def _strands(
    brush: Brush, color: Rgb, inner: Curve, outer: Curve, rng: np.random.Generator, count: int
) -> None:
    for _ in range(count):
        k, drift = rng.uniform(-0.02, 1.02), rng.normal(0.0, 0.05)
        t = np.linspace(0.0, 1.0, len(inner), dtype=np.float32)[:, None]
        share = np.clip(k + drift * t, 0.0, 1.0)
        start = int(rng.integers(0, len(inner) // 3))
        strand = (inner * (1 - share) + outer * share)[start:].astype(np.float32)
        bright = rng.random()
        tint = (
            light(color, 0.08 + 0.3 * bright) if bright > 0.55 else cool(color, 0.3 + 0.9 * bright)
        )
        brush.fill(taper(strand, float(rng.uniform(0.7, 2.8))), tint, float(rng.uniform(0.18, 0.5)))


def _sheen(brush: Brush, color: Rgb, inner: Curve, outer: Curve, strength: float) -> None:
    """A soft band of light across the strands."""
    at = int(len(inner) * 0.3)
    span = np.linspace(0.12, 0.94, 9, dtype=np.float32)[:, None]
    band = inner[at] * (1 - span) + outer[at] * span
    brush.line(band.astype(np.float32), light(color, 0.75), 11.0, strength * 0.5, 6.0)
    brush.line(band.astype(np.float32), light(color, 0.9), 4.0, strength * 0.35, 2.5)


def _cap(who: Identity, rise: float, side: float, end: float) -> list[tuple[float, float]]:
    """The outer edge of hair over the right half of the skull, crown to `end` (y)."""
    face, v = who.face, who.hair.volume
    top = face.crown - rise * v
    turns = (0.42, 0.8, 1.12, 1.36)
    wide, tall = face.temple + 0.9 * side * v, 94.0 - top
    arch = [(wide * float(np.sin(a)), 94.0 - tall * float(np.cos(a))) for a in turns]
    return [
        (0.0, top),
        *arch,
        (face.cheek + side * v, 108.0),
        (face.cheek + side * 0.9 * v, end),
    ]


def _line(
    who: Identity, forehead: float, part: float, end: float, tuck: float = 4.0
) -> list[tuple[float, float]]:
    """The hairline of the right half: from the part on the forehead down to `end` (y)."""
    face = who.face
    return [
        (part, forehead),
        (part * 0.4 + 15.0, forehead + 6.0),
        (32.0, forehead + 19.0),
        (face.temple - 15.0, forehead + 37.0),
        (face.cheek - tuck - 4.0, forehead + 58.0),
        (face.cheek - tuck + 1.0, end),
    ]


def _shade_brow(brush: Brush, who: Identity, shape: Curve) -> None:
    """The shadow that front hair casts on the skin."""
    brush.fill(
        shape + np.asarray((-1.5 * who.scene.light, 3.5), np.float32),
        shadow(who.skin, 0.9),
        0.28,
        3.0,
    )


def _two_sides(
    brush: Brush, who: Identity, outer: Pairs, inner: Pairs, wave: Wave = STRAIGHT
) -> None:
    """A symmetric front: one ribbon a side, from the part."""
    pairs = [
        (_guide(inner, s, wave, 0.4 * s), _guide(outer, s, wave, 1.5 + s)) for s in (-1.0, 1.0)
    ]
    away = 13.0 * who.hair.part * np.linspace(1.0, 0.0, 40, dtype=np.float32) ** 3
    for line in (line for pair in pairs for line in pair):
        line[:, 0] += away
    for i, o in pairs:
        _shade_brow(brush, who, np.concatenate((i, o[::-1])))
    for n, (i, o) in enumerate(pairs):
        _ribbon(brush, who, i, o, n)


def _swept(
    brush: Brush, who: Identity, rise: float, side: float, forehead: float, end: float
) -> None:
    """Hair parted on one side: a short ribbon and a long one that sweeps across."""
    face = who.face
    flip = 1.0 if who.hair.part >= 0 else -1.0
    top = face.crown - rise * who.hair.volume
    right, left = _cap(who, rise, side, end), _cap(who, rise, side, end)
    short_o = [(20.0, top + 2.8), *right[1:]]
    short_i = [
        (26.0, forehead - 6.0),
        (face.temple - 15.0, forehead + 13.0),
        (face.cheek - 8.0, forehead + 36.0),
        (face.cheek + side * 0.5, end + 3.0),
    ]
    long_o = [(21.0, top + 3.0), *[(-x, y) for x, y in left]]
    long_i = [
        (27.0, forehead - 6.0),
        (2.0, forehead + 5.0),
        (-26.0, forehead + 13.0),
        (-face.temple + 9.0, forehead + 26.0),
        (-face.cheek + 5.0, forehead + 40.0),
        (-face.cheek - side * 0.5, end + 3.0),
    ]
    ribbons = [
        (_guide(short_i, flip), _guide(short_o, flip)),
        (_guide(long_i, flip), _guide(long_o, flip)),
    ]
    for i, o in ribbons:
        _shade_brow(brush, who, np.concatenate((i, o[::-1])))
    for n, (i, o) in enumerate(ribbons):
        _ribbon(brush, who, i, o, n)


def _fringe(brush: Brush, who: Identity, low: float, rise: float) -> None:
    """Bangs: strands that fall from the crown to just above the brows."""
    face = who.face
    top = face.crown - rise * who.hair.volume
    w = face.temple - 1.0
    root = _guide(
        [(-w, 80.0), (-40.0, top + 14.0), (0.0, top + 2.0), (40.0, top + 14.0), (w, 80.0)]
    )
    tips = _guide(
        [
            (-w - 1, low + 14.0),
            (-34.0, low + 1.0),
            (0.0, low - 1.0),
            (34.0, low + 1.0),
            (w + 1, low + 14.0),
        ]
    )
    shape = np.concatenate((root, tips[::-1]))
    _shade_brow(brush, who, shape)
    color = who.hair.color
    brush.pour(
        shape,
        linear((CENTRE, top), (CENTRE, low), [(0.0, color, 1.0), (1.0, cool(color, 0.35), 1.0)]),
        0.4,
    )
    rng = np.random.default_rng(who.hair.seed + 7)
    for _ in range(90):
        k = int(rng.integers(0, 40))
        a, b = root[k], tips[int(np.clip(k + rng.integers(-2, 3), 0, 39))]
        mid = 0.5 * (a + b) + np.asarray(((b[0] - CENTRE) * 0.1, -3.0), np.float32)
        strand = curve(
            [
                tuple(a),
                tuple(mid),
                tuple(b + np.asarray((rng.normal(0, 1.0), rng.uniform(-1.0, 3.0)))),
            ]
        )
        tint = (
            light(color, float(rng.uniform(0.05, 0.35)))
            if rng.random() < 0.45
            else cool(color, float(rng.uniform(0.3, 1.0)))
        )
        brush.fill(
            taper(strand, float(rng.uniform(1.2, 4.0)), 0.5), tint, float(rng.uniform(0.25, 0.6))
        )
    band = (root * 0.5 + tips * 0.5)[6:34]
    brush.line(band.astype(np.float32), light(color, 0.8), 9.0, 0.25, 5.0)


def _mass(brush: Brush, who: Identity, right: Pairs, wave: Wave = STRAIGHT) -> None:
    """Hair behind the head: both halves of one silhouette, dark and soft."""
    outer = [_guide(right, s, wave, 1.5 + s) for s in (-1.0, 1.0)]
    shape = np.concatenate((outer[0], outer[1][::-1]))
    color = who.hair.color
    brush.pour(
        shape,
        linear(
            (CENTRE, 40),
            (CENTRE, 250),
            [(0.0, cool(color, 0.3), 1.0), (1.0, cool(color, 0.85), 1.0)],
        ),
        0.5,
    )
    with brush.inside(shape):
        for n, o in enumerate(outer):
            inner = o.copy()
            inner[:, 0] = CENTRE + (o[:, 0] - CENTRE) * 0.25
            rng = np.random.default_rng(who.hair.seed + 20 + n)
            _strands(brush, cool(color, 0.45), inner, o, rng, 60)


def _curls(
    brush: Brush, who: Identity, centres: Curve, radius: float, seed: int, depth: float
) -> None:
    """A cloud of curls around centres."""
    rng = np.random.default_rng(who.hair.seed + seed)
    color = cool(who.hair.color, depth)
    for x, y in centres.tolist():
        brush.oval(x, y, radius, radius, cool(color, 0.35), 1.0, 0.5)
    for x, y in centres[rng.permutation(len(centres))].tolist():
        start, turns = rng.uniform(0, 2 * np.pi), rng.uniform(0.55, 0.95)
        r = radius * rng.uniform(0.45, 0.95)
        angle = start + np.linspace(0.0, 2 * np.pi * turns, 14)
        shrink = np.linspace(1.0, 0.55, 14)
        arc = np.stack((x + r * shrink * np.cos(angle), y + r * shrink * np.sin(angle)), 1).astype(
            np.float32
        )
        lit = 0.5 + 0.5 * np.clip(((x - CENTRE) * who.scene.light - (y - 80)) / 90.0, -1, 1)
        tint = (
            light(color, 0.06 + 0.34 * lit * rng.random())
            if rng.random() < 0.55
            else cool(color, 0.9)
        )
        brush.fill(taper(arc, float(rng.uniform(1.6, 3.4)), 0.2, 0.2), tint, 0.6)


def _cloud(
    who: Identity, rx: float, ry: float, cy: float, count: int, seed: int, hole: bool
) -> Curve:
    """Random curl centres in an ellipse; with `hole`, only above and beside the face."""
    rng = np.random.default_rng(who.hair.seed + seed)
    angle, radius = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0.0, 1.0, count))
    x, y = rx * radius * np.cos(angle), cy + ry * radius * np.sin(angle)
    if hole:
        face = who.face
        line = 69.0 + 32.0 * np.clip(np.abs(x) / face.cheek, 0, 1) ** 3
        keep = (y < line) | (np.abs(x) > face.cheek + 2)
        x, y = x[keep], y[keep]
    return np.stack((x + CENTRE, y), 1).astype(np.float32)


def _crop(brush: Brush, who: Identity, rise: float, side: float, forehead: float) -> None:
    """Short hair: a cap that follows the skull, brushed up and to one side."""
    face = who.face
    outer = _cap(who, rise, side, 118.0)
    inner = [
        (0.0, forehead),
        (22.0, forehead + 1.0),
        (face.temple - 17.0, forehead + 9.0),
        (face.temple - 9.0, 88.0),
        (face.cheek - 5.0, 104.0),
        (face.cheek + 1.0, 122.0),
    ]
    o = np.concatenate((_guide(outer, -1.0)[::-1], _guide(outer)))
    i = np.concatenate((_guide(inner, -1.0)[::-1], _guide(inner)))
    shape = np.concatenate((o, i[::-1]))
    _shade_brow(brush, who, shape)
    color, light_side = who.hair.color, who.scene.light
    brush.pour(
        shape,
        linear(
            (CENTRE + 60 * light_side, 20),
            (CENTRE - 60 * light_side, 120),
            [(0.0, light(color, 0.16), 1.0), (0.5, color, 1.0), (1.0, cool(color, 0.6), 1.0)],
        ),
        0.9,
    )
    rng = np.random.default_rng(who.hair.seed + 3)
    lean = 1.0 if who.hair.part > 0 else -1.0
    for _ in range(260):
        k, depth = int(rng.integers(0, 80)), rng.uniform(0.0, 1.0)
        over = int(np.clip(k + lean * rng.integers(3, 8), 0, 79))
        far = min(depth + 0.45, 1.04)
        root, tip = i[k] * (1 - depth) + o[k] * depth, i[over] * (1 - far) + o[over] * far
        bent = 0.5 * (i[k] * (1 - far) + o[k] * far + tip)
        strand = curve([tuple(root), tuple(0.4 * root + 0.6 * bent), tuple(tip)], steps=5)
        tint = (
            light(color, float(rng.uniform(0.05, 0.3)))
            if rng.random() < 0.5
            else cool(color, float(rng.uniform(0.3, 0.9)))
        )
        brush.fill(taper(strand, float(rng.uniform(1.4, 3.6)), 0.4), tint, 0.36)


def _buzz(brush: Brush, who: Identity, alpha: float, forehead: float) -> None:
    """A shaved scalp's shade, soft at the hairline."""
    face = who.face
    outer = [(x, y) for x, y in _cap(who, 1.0, 0.8, 112.0)]
    inner = [
        (0.0, forehead),
        (26.0, forehead + 1.0),
        (face.temple - 15.0, forehead + 11.0),
        (face.temple - 8.0, 92.0),
        (face.cheek - 4.0, 112.0),
    ]
    shape = np.concatenate(
        (_guide(outer, -1.0)[::-1], _guide(outer), _guide(inner)[::-1], _guide(inner, -1.0))
    )
    tone = mix(who.hair.color, shadow(who.skin, 0.7), 0.3)
    with brush.inside(np.concatenate((_guide(outer, -1.0)[::-1], _guide(outer)))):
        fade = linear(
            (CENTRE, 72.0),
            (CENTRE, 114.0),
            [(0.0, tone, alpha), (0.5, tone, alpha * 0.6), (1.0, tone, 0.0)],
        )
        brush.pour(shape, fade, 5.0)
        brush.pour(shape, fade, 1.8)
        brush.glow(CENTRE + 22 * who.scene.light, face.crown + 12, 34, 14, light(tone, 0.6), 0.4)


def _balding(brush: Brush, who: Identity) -> None:
    """Hair at the sides only."""
    face = who.face
    for s in (-1.0, 1.0):
        outer = _guide(
            [
                (face.temple * 0.86, 66.0),
                (face.temple + 5.0, 82.0),
                (face.cheek + 6.0, 102.0),
                (face.cheek + 4.0, 122.0),
            ],
            s,
        )
        inner = _guide(
            [
                (face.temple * 0.80, 70.0),
                (face.temple - 8.0, 88.0),
                (face.cheek - 6.0, 104.0),
                (face.cheek - 1.0, 123.0),
            ],
            s,
        )
        _ribbon(brush, who, inner, outer, 3)
    brush.glow(CENTRE + 20 * who.scene.light, face.crown + 13, 26, 12, light(who.skin, 0.8), 0.5)


def _hijab_edges(who: Identity) -> tuple[Pairs, Pairs]:
    """The cloth's outer edge and its opening around the face, right half."""
    face = who.face
    c = face.cheek
    outer = (
        (0.0, face.crown - 13),
        (26.0, face.crown - 9.5),
        (49.0, face.crown + 4),
        (64.0, face.crown + 30),
        (c + 12, 106.0),
        (c + 12, 150.0),
        (c + 6, 192.0),
        (c + 14, 232.0),
        (70.0, 262.0),
        (0.0, 272.0),
    )
    inner = (
        (0.0, 58.0),
        (26.0, 62.0),
        (46.0, 80.0),
        (c - 6, 112.0),
        (c - 6.5, 140.0),
        (jaw_half(face, 164.0) - 4, 164.0),
        (jaw_half(face, face.chin_y - 9) - 5, face.chin_y - 9),
        (0.0, face.chin_y - 3),
    )
    return outer, inner


def _hijab(brush: Brush, who: Identity) -> None:
    """A head cloth framing the face and wrapped below the chin."""
    face, cloth, side = who.face, _head_cloth(who), who.scene.light
    outer, inner = _hijab_edges(who)
    o = [_guide(outer, s) for s in (-1.0, 1.0)]
    i = [_guide(inner, s) for s in (-1.0, 1.0)]
    ring_o, ring_i = np.concatenate((o[0][::-1], o[1])), np.concatenate((i[0][::-1], i[1]))
    shape = np.concatenate((ring_o, ring_o[:1], ring_i[:1], ring_i[::-1]))
    _shade_brow(brush, who, shape)
    brush.pour(
        shape,
        linear(
            (CENTRE + 80 * side, 40),
            (CENTRE - 90 * side, 230),
            [(0.0, light(cloth, 0.3), 1.0), (0.5, cloth, 1.0), (1.0, cool(cloth, 0.5), 1.0)],
        ),
    )
    with brush.inside(shape):
        for s, a, b in ((-1, i[0], o[0]), (1, i[1], o[1])):
            for k in (0.22, 0.45, 0.7):
                fold = (a * (1 - k) + b * k)[int(4 + 10 * k) :]
                brush.fill(taper(fold.astype(np.float32), 5.0, 0.1), cool(cloth, 0.75), 0.3, 1.8)
                brush.fill(
                    taper((fold + np.asarray((s * 3.0, 0))).astype(np.float32), 3.0, 0.1),
                    light(cloth, 0.5),
                    0.35,
                    1.2,
                )
        for k in range(4):
            y = face.chin_y + 6 + 13 * k
            drape = curve(
                [
                    (CENTRE - 66, y - 8 + 6 * k),
                    (CENTRE - 20, y + 8),
                    (CENTRE + 30, y + 5),
                    (CENTRE + 68, y - 12),
                ]
            )
            brush.fill(taper(drape, 6.0, 0.1), cool(cloth, 0.8), 0.32, 2.0)
        brush.glow(CENTRE, face.chin_y + 4, 50, 16, cool(cloth, 1.0), 0.6)
        brush.line(ring_i, light(cloth, 0.6), 1.2, 0.5, 0.4)


def _beanie(brush: Brush, who: Identity) -> None:
    """A knitted cap."""
    face, cloth, side = who.face, _head_cloth(who), who.scene.light
    if _hat_over_long(who):
        _front_long(brush, who, Wave(2.5, 2.0))
    else:
        _buzz(brush, who, 0.6, 62.0)
    w = face.temple + (11.0 if _hat_over_long(who) else 6.0)
    dome = _guide(
        [(-w, 80.0), (-w + 3, 54.0), (-34, 24.0), (0, 15.0), (34, 24.0), (w - 3, 54.0), (w, 80.0)]
    )
    hem = _guide([(w, 80.0), (30, 72.0), (0, 69.0), (-30, 72.0), (-w, 80.0)])
    shape = np.concatenate((dome, hem))
    brush.fill(shape + np.asarray((0, 5.0), np.float32), shadow(who.skin, 0.9), 0.3, 3.0)
    stops = [(0.0, light(cloth, 0.25), 1.0), (0.5, cloth, 1.0), (1.0, cool(cloth, 0.6), 1.0)]
    brush.pour(shape, linear((CENTRE + 60 * side, 20), (CENTRE - 64 * side, 80), stops))
    with brush.inside(shape):
        for k in range(-9, 10):
            x = k / 9.0
            rib = curve(
                [(CENTRE + x * 10, 14), (CENTRE + x * w * 0.8, 38), (CENTRE + x * w * 1.02, 62)]
            )
            brush.line(rib, cool(cloth, 0.8), 1.6, 0.3, 0.7)
    brim = _guide([(-w - 1.5, 84.0), (-32, 75.0), (0, 72.0), (32, 75.0), (w + 1.5, 84.0)])
    top = brim - np.asarray((0, 20.0), np.float32)
    cuff = np.concatenate((brim, top[::-1]))
    brush.fill(cuff - np.asarray((0, 1.5), np.float32), cool(cloth, 1.0), 0.4, 1.8)
    brush.pour(
        cuff,
        linear(
            (CENTRE + 60 * side, 60),
            (CENTRE - 64 * side, 90),
            [
                (0.0, light(cloth, 0.35), 1.0),
                (0.5, light(cloth, 0.06), 1.0),
                (1.0, cool(cloth, 0.5), 1.0),
            ],
        ),
    )
    with brush.inside(cuff):
        for k in range(40):
            a, b = top[k], brim[k]
            brush.line(np.stack((a, b)).astype(np.float32), cool(cloth, 0.8), 1.3, 0.32, 0.5)


def _head_cloth(who: Identity) -> Rgb:
    """The colour of hat or head cloth: never the skin's own."""
    scene = who.scene
    apart = float(np.abs(np.subtract(scene.accent, who.skin)).sum())
    return scene.accent if apart > 0.5 else light(scene.cloth, 0.12)


def _hat_over_long(who: Identity) -> bool:
    return who.hair.style == "beanie" and who.feminine > 0.5


def _long_end(who: Identity) -> float:
    return 200.0 + 60.0 * who.hair.length


def _front_long(brush: Brush, who: Identity, wave: Wave) -> None:
    end = _long_end(who)
    face, v = who.face, who.hair.volume
    outer = [
        *_cap(who, 10.0, 13.0, 140.0),
        (face.cheek + 13 * v, 185.0),
        (face.cheek + 16 * v, end),
    ]
    inner = [
        *_line(who, 49.0, 0.0, 140.0),
        (face.cheek - 3.0, 170.0),
        (face.cheek - 12.0, 205.0),
        (face.cheek - 10.0, end + 4.0),
    ]
    _two_sides(brush, who, outer, inner, wave)


def _front_bob(brush: Brush, who: Identity) -> None:
    face, v = who.face, who.hair.volume
    end = 172.0 + 22.0 * who.hair.length
    outer = [*_cap(who, 10.0, 13.0, 140.0), (face.cheek + 14 * v, 162.0), (face.cheek + 5 * v, end)]
    inner = [
        *_line(who, 50.0, 0.0, 140.0),
        (face.cheek - 5.0, 160.0),
        (face.cheek - 14.0, end + 2.0),
    ]
    _two_sides(brush, who, outer, inner)


def _tied_back(brush: Brush, who: Identity) -> None:
    """Hair combed away from the face."""
    face = who.face
    outer = [*_cap(who, 7.0, 4.5, 116.0)[:-2], (face.cheek + 3.0, 103.0), (face.cheek + 3.0, 114.0)]
    inner = [
        (0.0, 57.0),
        (24.0, 59.5),
        (face.temple - 14.0, 72.0),
        (face.cheek - 8.0, 91.0),
        (face.cheek + 2.0, 116.0),
    ]
    _two_sides(brush, who, outer, inner)


def _bun(brush: Brush, who: Identity) -> None:
    color, side = who.hair.color, who.scene.light
    y = who.face.crown - 9.0
    brush.oval(CENTRE, y, 29.0, 23.0, cool(color, 0.45), 1.0, 0.8)
    rng = np.random.default_rng(who.hair.seed + 11)
    for _ in range(70):
        r, a = rng.uniform(0.3, 0.98), rng.uniform(0, 2 * np.pi)
        angle = a + np.linspace(0.0, rng.uniform(0.8, 2.0), 12)
        arc = np.stack((CENTRE + 28 * r * np.cos(angle), y + 22 * r * np.sin(angle)), 1).astype(
            np.float32
        )
        tint = (
            light(color, float(rng.uniform(0.05, 0.35))) if rng.random() < 0.5 else cool(color, 0.9)
        )
        brush.fill(taper(arc, float(rng.uniform(1.0, 3.0))), tint, 0.5)
    brush.glow(CENTRE + 11 * side, y - 9, 16, 9, light(color, 0.8), 0.4)


def _braid(brush: Brush, who: Identity) -> None:
    """A plait over one shoulder."""
    color = who.hair.color
    s = 1.0 if who.hair.part > 0 else -1.0
    spine = resample(
        curve(
            [
                (CENTRE + s * 52, 168),
                (CENTRE + s * 63, 192),
                (CENTRE + s * 62, 222),
                (CENTRE + s * 56, 256),
                (CENTRE + s * 54, 290),
            ]
        ),
        13,
    )
    brush.line(spine, cool(color, 1.0), 17.0, 0.5, 2.5)
    for k, (x, y) in enumerate(spine.tolist()):
        for flip in (-1.0, 1.0):
            knot = curve(
                [
                    (x + flip * 1, y - 7),
                    (x + flip * 10.5, y - 4),
                    (x + flip * 9, y + 4),
                    (x - flip * 2, y + 11),
                    (x - flip * 3, y + 3),
                ],
                closed=True,
            )
            tint = light(color, 0.16) if flip * who.scene.light > 0 else cool(color, 0.25)
            brush.pour(
                knot,
                linear(
                    (x, y - 8),
                    (x, y + 11),
                    [(0.0, light(tint, 0.14), 1.0), (1.0, cool(tint, 0.7), 1.0)],
                ),
                0.3,
            )
            for j in range(3):
                a = (x + flip * (8 - 2 * j), y - 3 + j)
                strand = curve([a, (x + flip * (4 - j), y + 3), (x - flip * 1, y + 8 + (k % 2))])
                brush.fill(
                    taper(strand, 1.3), light(color, 0.4) if j == 1 else cool(color, 0.9), 0.4
                )


def paint_under_cloth(brush: Brush, who: Identity) -> None:
    """The inside of a head cloth: nothing else may show between it and the face."""
    if who.hair.style != "hijab":
        return
    outer, _ = _hijab_edges(who)
    sides = [_guide(outer, s) for s in (-1.0, 1.0)]
    inside = np.concatenate((sides[0], sides[1][::-1]))
    brush.fill(inside, cool(_head_cloth(who), 0.8))


def paint_back_hair(brush: Brush, who: Identity) -> None:
    """What lies behind neck and ears."""
    face, v, style = who.face, who.hair.volume, who.hair.style
    wide = face.cheek + 13 * v
    if style in ("long", "long_fringe", "wavy") or _hat_over_long(who):
        end = _long_end(who)
        wave = Wave(3.5, 2.5) if style == "wavy" else STRAIGHT
        _mass(
            brush,
            who,
            [
                (0, face.crown - 6),
                (44, 50),
                (wide - 4, 96),
                (wide, 150),
                (wide + 4, end),
                (wide - 20, end + 12),
                (0, end + 14),
            ],
            wave,
        )
    elif style in ("bob", "fringe_bob", "pixie"):
        end = 172.0 + 22.0 * who.hair.length if style != "pixie" else 150.0
        _mass(
            brush,
            who,
            [
                (0, face.crown - 6),
                (44, 50),
                (wide - 4, 96),
                (wide - (8 if style == "pixie" else 0), end - 18),
                (wide - 8, end),
                (40, end + 4),
                (0, end + 4),
            ],
        )
    elif style in ("afro", "curly"):
        rx, ry = (92.0, 82.0) if style == "afro" else (84.0, 90.0)
        cy = 92.0 if style == "afro" else 118.0
        _curls(brush, who, _cloud(who, rx * (0.9 + 0.1 * v), ry, cy, 520, 1, False), 8.0, 2, 0.25)
    elif style == "bun":
        _bun(brush, who)
    elif style in ("ponytail", "braid"):
        s = 1.0 if who.hair.part > 0 else -1.0
        if style == "ponytail":
            _mass(
                brush,
                who,
                [
                    (0, 150),
                    (38, 176),
                    (face.jaw + 8, 205),
                    (face.jaw + 10, 240),
                    (30, 262),
                    (0, 264),
                ],
            )
        else:
            nape = [
                (0.0, 120.0),
                (face.cheek, 130.0),
                (face.cheek - 4.0, 160.0),
                (40.0, 196.0),
                (0.0, 200.0),
            ]
            _mass(brush, who, nape)
            brush.oval(CENTRE + s * 48, 168, 15, 18, cool(who.hair.color, 0.5), 1.0, 1.0)


def _front_curly(brush: Brush, who: Identity) -> None:
    tall = who.hair.style == "afro"
    inner = [
        (0.0, 66.0),
        (24.0, 68.0),
        (40.0, 76.0),
        (who.face.cheek - 8.0, 94.0),
        (who.face.cheek - 2.0, 126.0),
    ]
    outer = _cap(who, 10.0, 6.0, 128.0)
    halves = [np.concatenate((_guide(inner, s), _guide(outer, s)[::-1])) for s in (-1.0, 1.0)]
    for half in halves:
        brush.fill(half, cool(who.hair.color, 0.5), 1.0, 1.0)
    cloud = _cloud(
        who, 84.0 if tall else 78.0, 74.0 if tall else 80.0, 86.0 if tall else 108.0, 560, 4, True
    )
    _curls(brush, who, cloud, 7.5, 5, 0.0)


def _front_pixie(brush: Brush, who: Identity) -> None:
    _swept(brush, who, 11.0, 6.0, 63.0, 126.0)


def _front_fringe(brush: Brush, who: Identity) -> None:
    style = who.hair.style
    if style == "long_fringe":
        _front_long(brush, who, STRAIGHT)
    else:
        _front_bob(brush, who)
    _fringe(brush, who, 86.0, 10.0)


def _front_wavy(brush: Brush, who: Identity) -> None:
    _front_long(brush, who, Wave(3.5, 2.5))


def _front_braid(brush: Brush, who: Identity) -> None:
    _swept(brush, who, 8.0, 5.0, 60.0, 122.0)
    _braid(brush, who)


FRONTS: dict[str, Callable[[Brush, Identity], None]] = {
    "bald": lambda brush, who: _buzz(brush, who, 0.1, 66.0),
    "buzz": lambda brush, who: _buzz(brush, who, 0.72, 62.0),
    "crop": lambda brush, who: _crop(brush, who, 7.0, 3.5, 62.0),
    "quiff": lambda brush, who: _crop(brush, who, 17.0, 3.0, 58.0),
    "side_part": lambda brush, who: _swept(brush, who, 11.0, 3.5, 60.0, 118.0),
    "pixie": _front_pixie,
    "bob": _front_bob,
    "fringe_bob": _front_fringe,
    "long": lambda brush, who: _front_long(brush, who, STRAIGHT),
    "long_fringe": _front_fringe,
    "wavy": _front_wavy,
    "curly": _front_curly,
    "afro": _front_curly,
    "bun": _tied_back,
    "ponytail": _tied_back,
    "braid": _front_braid,
    "balding": _balding,
    "hijab": _hijab,
    "beanie": _beanie,
}


def paint_front_hair(brush: Brush, who: Identity) -> None:
    """What lies over the face's edge and forehead."""
    FRONTS[who.hair.style](brush, who)


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

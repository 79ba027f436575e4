"""Hair styles, in two layers: behind the head and in front of it.

Each style is a few locks, masses or curls (see `locks`) placed on the skull. `FRONTS` lists them.
"""

from collections.abc import Callable

import numpy as np

from soul.training.world.color import cool, light, mix, shadow
from soul.training.world.headwear import hat_over_long, paint_beanie, paint_hijab
from soul.training.world.identity import CENTRE, Identity
from soul.training.world.locks import (
    STRAIGHT,
    Wave,
    cap,
    cloud,
    curls,
    guide,
    hairline,
    mass,
    ribbon,
    shade_skin,
    two_sides,
)
from soul.training.world.pen import Brush, curve, linear, resample, taper


def _swept(
    brush: Brush, who: Identity, rise: float, side: float, forehead: float, end: float
) -> None:
    """Hair parted on one side: a short ribbon and a long one that sweeps across."""
    face = who.face
    flip = 1.0 if who.hair.part >= 0 else -1.0
    top = face.crown - rise * who.hair.volume
    right, left = cap(who, rise, side, end), cap(who, rise, side, end)
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
        (guide(short_i, flip), guide(short_o, flip)),
        (guide(long_i, flip), guide(long_o, flip)),
    ]
    for i, o in ribbons:
        shade_skin(brush, who, np.concatenate((i, o[::-1])))
    for n, (i, o) in enumerate(ribbons):
        ribbon(brush, who, i, o, n)


def _fringe(brush: Brush, who: Identity, low: float, rise: float) -> None:
    """Bangs: strands that fall from the crown to just above the brows."""
    face = who.face
    top = face.crown - rise * who.hair.volume
    w = face.temple - 1.0
    root = guide([(-w, 80.0), (-40.0, top + 14.0), (0.0, top + 2.0), (40.0, top + 14.0), (w, 80.0)])
    tips = guide(
        [
            (-w - 1, low + 14.0),
            (-34.0, low + 1.0),
            (0.0, low - 1.0),
            (34.0, low + 1.0),
            (w + 1, low + 14.0),
        ]
    )
    shape = np.concatenate((root, tips[::-1]))
    shade_skin(brush, who, shape)
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


def _crop(brush: Brush, who: Identity, rise: float, side: float, forehead: float) -> None:
    """Short hair: a cap that follows the skull, brushed up and to one side."""
    face = who.face
    outer = cap(who, rise, side, 118.0)
    inner = [
        (0.0, forehead),
        (22.0, forehead + 1.0),
        (face.temple - 17.0, forehead + 9.0),
        (face.temple - 9.0, 88.0),
        (face.cheek - 5.0, 104.0),
        (face.cheek + 1.0, 122.0),
    ]
    o = np.concatenate((guide(outer, -1.0)[::-1], guide(outer)))
    i = np.concatenate((guide(inner, -1.0)[::-1], guide(inner)))
    shape = np.concatenate((o, i[::-1]))
    shade_skin(brush, who, shape)
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
    outer = [(x, y) for x, y in cap(who, 1.0, 0.8, 112.0)]
    inner = [
        (0.0, forehead),
        (26.0, forehead + 1.0),
        (face.temple - 15.0, forehead + 11.0),
        (face.temple - 8.0, 92.0),
        (face.cheek - 4.0, 112.0),
    ]
    shape = np.concatenate(
        (guide(outer, -1.0)[::-1], guide(outer), guide(inner)[::-1], guide(inner, -1.0))
    )
    tone = mix(who.hair.color, shadow(who.skin, 0.7), 0.3)
    with brush.inside(np.concatenate((guide(outer, -1.0)[::-1], guide(outer)))):
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
        outer = guide(
            [
                (face.temple * 0.86, 66.0),
                (face.temple + 5.0, 82.0),
                (face.cheek + 6.0, 102.0),
                (face.cheek + 4.0, 122.0),
            ],
            s,
        )
        inner = guide(
            [
                (face.temple * 0.80, 70.0),
                (face.temple - 8.0, 88.0),
                (face.cheek - 6.0, 104.0),
                (face.cheek - 1.0, 123.0),
            ],
            s,
        )
        ribbon(brush, who, inner, outer, 3)
    brush.glow(CENTRE + 20 * who.scene.light, face.crown + 13, 26, 12, light(who.skin, 0.8), 0.5)


def _long_end(who: Identity) -> float:
    return 200.0 + 60.0 * who.hair.length


def _front_long(brush: Brush, who: Identity, wave: Wave) -> None:
    end = _long_end(who)
    face, v = who.face, who.hair.volume
    outer = [*cap(who, 10.0, 13.0, 140.0), (face.cheek + 13 * v, 185.0), (face.cheek + 16 * v, end)]
    inner = [
        *hairline(who, 49.0, 0.0, 140.0),
        (face.cheek - 3.0, 170.0),
        (face.cheek - 12.0, 205.0),
        (face.cheek - 10.0, end + 4.0),
    ]
    two_sides(brush, who, outer, inner, wave)


def _front_bob(brush: Brush, who: Identity) -> None:
    face, v = who.face, who.hair.volume
    end = 172.0 + 22.0 * who.hair.length
    outer = [*cap(who, 10.0, 13.0, 140.0), (face.cheek + 14 * v, 162.0), (face.cheek + 5 * v, end)]
    inner = [
        *hairline(who, 50.0, 0.0, 140.0),
        (face.cheek - 5.0, 160.0),
        (face.cheek - 14.0, end + 2.0),
    ]
    two_sides(brush, who, outer, inner)


def _tied_back(brush: Brush, who: Identity) -> None:
    """Hair combed away from the face."""
    face = who.face
    outer = [*cap(who, 7.0, 4.5, 116.0)[:-2], (face.cheek + 3.0, 103.0), (face.cheek + 3.0, 114.0)]
    inner = [
        (0.0, 57.0),
        (24.0, 59.5),
        (face.temple - 14.0, 72.0),
        (face.cheek - 8.0, 91.0),
        (face.cheek + 2.0, 116.0),
    ]
    two_sides(brush, who, outer, inner)


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


def _back_long(brush: Brush, who: Identity) -> None:
    wide, end = who.face.cheek + 13 * who.hair.volume, _long_end(who)
    line = [(0, who.face.crown - 6), (44, 50), (wide - 4, 96), (wide, 150)]
    line += [(wide + 4, end), (wide - 20, end + 12), (0, end + 14)]
    mass(brush, who, line, Wave(3.5, 2.5) if who.hair.style == "wavy" else STRAIGHT)


def _back_bob(brush: Brush, who: Identity) -> None:
    pixie = who.hair.style == "pixie"
    wide = who.face.cheek + 13 * who.hair.volume
    end = 150.0 if pixie else 172.0 + 22.0 * who.hair.length
    line = [(0, who.face.crown - 6), (44, 50), (wide - 4, 96)]
    line += [(wide - (8 if pixie else 0), end - 18), (wide - 8, end), (40, end + 4), (0, end + 4)]
    mass(brush, who, line)


def _back_curls(brush: Brush, who: Identity) -> None:
    afro = who.hair.style == "afro"
    rx, ry, cy = (92.0, 82.0, 92.0) if afro else (84.0, 90.0, 118.0)
    centres = cloud(who, rx * (0.9 + 0.1 * who.hair.volume), ry, cy, 520, 1, False)
    curls(brush, who, centres, 8.0, 2, 0.25)


def _back_ponytail(brush: Brush, who: Identity) -> None:
    jaw = who.face.jaw
    line = [(0, 150), (38, 176), (jaw + 8, 205), (jaw + 10, 240), (30, 262), (0, 264)]
    mass(brush, who, line)


def _back_braid(brush: Brush, who: Identity) -> None:
    cheek, side = who.face.cheek, 1.0 if who.hair.part > 0 else -1.0
    mass(brush, who, [(0, 120), (cheek, 130), (cheek - 4, 160), (40, 196), (0, 200)])
    brush.oval(CENTRE + side * 48, 168, 15, 18, cool(who.hair.color, 0.5), 1.0, 1.0)


BACKS: dict[str, Callable[[Brush, Identity], None]] = {
    "long": _back_long,
    "long_fringe": _back_long,
    "wavy": _back_long,
    "bob": _back_bob,
    "fringe_bob": _back_bob,
    "pixie": _back_bob,
    "afro": _back_curls,
    "curly": _back_curls,
    "bun": _bun,
    "ponytail": _back_ponytail,
    "braid": _back_braid,
}


def paint_back_hair(brush: Brush, who: Identity) -> None:
    """What lies behind neck and ears; most short styles have nothing there."""
    if hat_over_long(who):
        _back_long(brush, who)
    elif who.hair.style in BACKS:
        BACKS[who.hair.style](brush, who)


def _front_curly(brush: Brush, who: Identity) -> None:
    tall = who.hair.style == "afro"
    inner = [
        (0.0, 66.0),
        (24.0, 68.0),
        (40.0, 76.0),
        (who.face.cheek - 8.0, 94.0),
        (who.face.cheek - 2.0, 126.0),
    ]
    outer = cap(who, 10.0, 6.0, 128.0)
    halves = [np.concatenate((guide(inner, s), guide(outer, s)[::-1])) for s in (-1.0, 1.0)]
    for half in halves:
        brush.fill(half, cool(who.hair.color, 0.5), 1.0, 1.0)
    centres = cloud(
        who, 84.0 if tall else 78.0, 74.0 if tall else 80.0, 86.0 if tall else 108.0, 560, 4, True
    )
    curls(brush, who, centres, 7.5, 5, 0.0)


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


def _front_beanie(brush: Brush, who: Identity) -> None:
    if hat_over_long(who):
        _front_long(brush, who, Wave(2.5, 2.0))
    else:
        _buzz(brush, who, 0.6, 62.0)
    paint_beanie(brush, who)


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
    "hijab": paint_hijab,
    "beanie": _front_beanie,
}


def paint_front_hair(brush: Brush, who: Identity) -> None:
    """What lies over the face's edge and forehead."""
    FRONTS[who.hair.style](brush, who)

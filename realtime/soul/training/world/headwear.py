"""Hats and head cloths. Knows nothing of the hair below them."""

import numpy as np

from soul.training.world.color import Rgb, cool, light, shadow
from soul.training.world.head import jaw_half
from soul.training.world.identity import CENTRE, Identity
from soul.training.world.locks import Pairs, guide, shade_skin
from soul.training.world.pen import Brush, curve, linear, taper


def _head_cloth(who: Identity) -> Rgb:
    """The colour of hat or head cloth: never the skin's own."""
    scene = who.scene
    apart = float(np.abs(np.subtract(scene.accent, who.skin)).sum())
    return scene.accent if apart > 0.5 else light(scene.cloth, 0.12)


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


def paint_hijab(brush: Brush, who: Identity) -> None:
    """A head cloth framing the face and wrapped below the chin."""
    face, cloth, side = who.face, _head_cloth(who), who.scene.light
    outer, inner = _hijab_edges(who)
    o = [guide(outer, s) for s in (-1.0, 1.0)]
    i = [guide(inner, s) for s in (-1.0, 1.0)]
    ring_o, ring_i = np.concatenate((o[0][::-1], o[1])), np.concatenate((i[0][::-1], i[1]))
    shape = np.concatenate((ring_o, ring_o[:1], ring_i[:1], ring_i[::-1]))
    shade_skin(brush, who, shape)
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


def paint_beanie(brush: Brush, who: Identity) -> None:
    """A knitted cap."""
    face, cloth, side = who.face, _head_cloth(who), who.scene.light
    w = face.temple + (11.0 if hat_over_long(who) else 6.0)
    dome = guide(
        [(-w, 80.0), (-w + 3, 54.0), (-34, 24.0), (0, 15.0), (34, 24.0), (w - 3, 54.0), (w, 80.0)]
    )
    hem = guide([(w, 80.0), (30, 72.0), (0, 69.0), (-30, 72.0), (-w, 80.0)])
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
    brim = guide([(-w - 1.5, 84.0), (-32, 75.0), (0, 72.0), (32, 75.0), (w + 1.5, 84.0)])
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


def paint_under_cloth(brush: Brush, who: Identity) -> None:
    """The inside of a head cloth: nothing else may show between it and the face."""
    if who.hair.style != "hijab":
        return
    outer, _ = _hijab_edges(who)
    sides = [guide(outer, s) for s in (-1.0, 1.0)]
    inside = np.concatenate((sides[0], sides[1][::-1]))
    brush.fill(inside, cool(_head_cloth(who), 0.8))


def hat_over_long(who: Identity) -> bool:
    """Whether long hair hangs from under a hat."""
    return who.hair.style == "beanie" and who.feminine > 0.5

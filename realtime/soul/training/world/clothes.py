"""What a person wears: garment and collar over the shoulders, glasses, earrings."""

import numpy as np

from soul.training.world.color import WHITE, Rgb, cool, light, mix, rgb
from soul.training.world.identity import CENTRE, Identity, Scene
from soul.training.world.pen import Brush, Curve, curve, linear, mirror, taper

SHIFT = np.asarray((CENTRE, 0.0), np.float32)
SHIRT_COLLAR = (
    (35.0, 210.0),
    (40.0, 219.0),
    (36.0, 236.0),
    (23.0, 256.0),
    (1.5, 245.0),
    (11.0, 236.0),
    (25.0, 222.0),
    (30.0, 207.0),
)
LAPEL = (
    (38.0, 215.0),
    (51.0, 238.0),
    (42.0, 240.0),
    (48.0, 247.0),
    (24.0, 276.0),
    (4.0, 296.0),
    (0.0, 270.0),
    (14.0, 254.0),
    (28.0, 236.0),
    (33.0, 213.0),
)
NECKLINES = {
    "tee": ((36.0, 221.0), (30.0, 232.0), (16.0, 240.0), (0.0, 243.0)),
    "v_neck": ((37.0, 221.0), (28.0, 234.0), (13.0, 250.0), (0.0, 262.0)),
    "scoop": ((52.0, 226.0), (46.0, 243.0), (26.0, 256.0), (0.0, 260.0)),
    "shirt": ((34.0, 216.0), (25.0, 227.0), (10.0, 238.0), (0.0, 245.0)),
    "turtleneck": ((33.0, 205.0), (24.0, 208.0), (12.0, 210.0), (0.0, 210.5)),
    "hoodie": ((40.0, 214.0), (33.0, 230.0), (17.0, 242.0), (0.0, 246.0)),
    "blazer": ((37.0, 219.0), (28.0, 236.0), (14.0, 254.0), (0.0, 268.0)),
}


def _both(right: Curve) -> Curve:
    """A right half from the outside to the middle and its mirror image, around the centre."""
    return np.concatenate((right, mirror(right, 0.0)[::-1])) + SHIFT


def _shoulders(scene: Scene, neck: float) -> Curve:
    wide = 98.0 + 22.0 * scene.shoulders
    return curve(
        [
            (neck, 219.0),
            (neck + 20, 227.0),
            (wide * 0.8, 235.0),
            (wide, 247.0),
            (wide + 10, 268.0),
            (wide + 14, 310.0),
        ]
    )


def paint_clothes(brush: Brush, who: Identity) -> None:
    """The garment, over neck and chest."""
    scene = who.scene
    line = NECKLINES[scene.clothes]
    slope = _shoulders(scene, line[0][0])
    slope[:, 1] += np.float32(line[0][1] - 219.0) * np.linspace(
        1.0, 0.0, len(slope), dtype=np.float32
    )
    edge = curve(line)
    right = np.concatenate((slope[::-1], edge))
    garment = _both(right)
    cloth = scene.cloth
    side = scene.light
    brush.fill(garment + np.float32(1.5), cool(who.skin, 0.8), 0.35, 2.5)
    a, b = (CENTRE + 100 * side, 215.0), (CENTRE - 110 * side, 275.0)
    brush.pour(
        garment,
        linear(
            a, b, [(0.0, light(cloth, 0.18), 1.0), (0.5, cloth, 1.0), (1.0, cool(cloth, 0.55), 1.0)]
        ),
    )
    with brush.inside(garment):
        _paint_folds(brush, cloth, side)
        brush.glow(CENTRE - 14 * side, 218, 66, 26, cool(cloth, 1.0), 0.55)
    _paint_collar(brush, who, edge)


def _paint_folds(brush: Brush, cloth: Rgb, side: float) -> None:
    for s in (-1, 1):
        fold = curve([(CENTRE + s * 84, 240), (CENTRE + s * 74, 252), (CENTRE + s * 72, 268)])
        brush.fill(taper(fold, 9.0, 0.1), cool(cloth, 0.9), 0.16, 4.5)
    brush.glow(CENTRE + 66 * side, 240, 40, 12, light(cloth, 0.5), 0.35)


def _paint_collar(brush: Brush, who: Identity, edge: Curve) -> None:
    scene = who.scene
    cloth, style = scene.cloth, scene.clothes
    rim = _both(edge)
    if style in ("tee", "v_neck", "scoop"):
        brush.line(rim, cool(cloth, 0.35), 5.0, 1.0)
        brush.line(rim - np.float32(1.2), light(cloth, 0.3), 1.2, 0.55, 0.4)
    elif style == "turtleneck":
        _paint_turtleneck(brush, cloth, scene.light)
    elif style == "hoodie":
        _paint_hood(brush, cloth, edge)
    elif style == "shirt":
        _paint_lapels(brush, light(cloth, 0.22), SHIRT_COLLAR, cloth)
    else:
        vest = (
            _both(curve(((34, 219), (26, 230), (12, 240), (0, 243)))),
            light(mix(scene.accent, WHITE, 0.4), 0.2),
        )
        brush.fill(np.concatenate((vest[0], rim[::-1])), vest[1])
        brush.line(vest[0], cool(vest[1], 0.4), 3.0, 0.8)
        _paint_lapels(brush, cool(cloth, 0.16), LAPEL, cloth)


def _paint_turtleneck(brush: Brush, cloth: Rgb, side: float) -> None:
    roll = _both(curve([(38.0, 232.0), (36.5, 218.0), (34.0, 206.0), (24.0, 208.5), (0.0, 211.0)]))
    bottom = curve([(-38, 232), (-20, 238), (0, 240), (20, 238), (38, 232)]) + SHIFT
    shape = np.concatenate((roll, bottom))
    brush.pour(
        shape,
        linear(
            (CENTRE + 38 * side, 0),
            (CENTRE - 38 * side, 0),
            [(0.0, light(cloth, 0.2), 1.0), (0.5, cloth, 1.0), (1.0, cool(cloth, 0.6), 1.0)],
        ),
    )
    brush.line(bottom, cool(cloth, 0.9), 2.5, 0.6, 1.4)
    with brush.inside(shape):
        brush.glow(CENTRE, 205, 44, 14, cool(cloth, 1.0), 0.5)
        for k in range(-5, 6):
            rib = curve([(CENTRE + k * 6.4, 208), (CENTRE + k * 6.9, 238)])
            brush.line(rib, cool(cloth, 0.7), 1.0, 0.35, 0.4)


def _paint_hood(brush: Brush, cloth: Rgb, edge: Curve) -> None:
    for s in (-1.0, 1.0):
        hood = curve(
            [(38, 209), (56, 216), (66, 230), (52, 246), (26, 254), (2, 252), (16, 243), (32, 231)],
            closed=True,
        )
        hood = (hood if s > 0 else mirror(hood, 0.0)) + SHIFT
        brush.fill(hood + np.float32(2.0), cool(cloth, 1.0), 0.4, 2.0)
        brush.pour(
            hood,
            linear(
                (CENTRE + s * 30, 214),
                (CENTRE + s * 50, 252),
                [(0.0, light(cloth, 0.16), 1.0), (1.0, cool(cloth, 0.4), 1.0)],
            ),
        )
    for s in (-1.0, 1.0):
        cord = curve([(CENTRE + s * 13, 249), (CENTRE + s * 15, 262), (CENTRE + s * 13, 280)])
        brush.line(cord, light(cloth, 0.6), 2.6, 0.95)
        brush.oval(CENTRE + s * 13, 249, 2.2, 2.2, cool(cloth, 0.8))


def _paint_lapels(
    brush: Brush, tint: Rgb, points: tuple[tuple[float, float], ...], cloth: Rgb
) -> None:
    edge_points = len(points) // 2 + 1  # the outer edge catches the light
    for s in (-1.0, 1.0):
        lapel = np.asarray(points, np.float32)
        lapel = (lapel if s > 0 else mirror(lapel, 0.0)) + SHIFT
        shape = lapel
        brush.fill(shape + np.float32(1.6), cool(cloth, 1.0), 0.45, 1.8)
        brush.pour(
            shape,
            linear(
                (CENTRE + s * 40, 212),
                (CENTRE + s * 10, 262),
                [(0.0, tint, 1.0), (1.0, cool(tint, 0.3), 1.0)],
            ),
        )
        brush.line(lapel[:edge_points], light(tint, 0.5), 0.9, 0.45, 0.3)


def paint_glasses(brush: Brush, who: Identity) -> None:
    """Frames over the eyes, with a faint glint."""
    if who.glasses == "none":
        return
    face = who.face
    frame = {"round": rgb("3a2a24"), "square": rgb("1e1c22"), "thin": rgb("b08d57")}[who.glasses]
    width = {"round": 2.4, "square": 3.4, "thin": 1.5}[who.glasses]
    y, rx, ry = face.eye_y + 2.5, face.eye_x - 6.0, 20.0 if who.glasses != "square" else 17.5
    for s in (-1.0, 1.0):
        x = CENTRE + s * (face.eye_x + 0.5)
        turn = np.linspace(0.0, 2 * np.pi, 49)
        power = 0.55 if who.glasses == "square" else 0.9
        c, d = np.cos(turn), np.sin(turn)
        rim = np.stack(
            (x + rx * np.sign(c) * np.abs(c) ** power, y + ry * np.sign(d) * np.abs(d) ** power), 1
        ).astype(np.float32)
        brush.fill(rim, WHITE, 0.025)
        brush.line(rim + np.float32(1.4), rgb("40201c"), width, 0.25, 1.4)
        brush.line(rim, frame, width)
        glint = curve([(x - 12, y + 7), (x - 3, y - 8)])
        brush.fill(taper(glint, 5.0, 0.6, 0.6), WHITE, 0.13, 0.8)
        arm = curve([(x + s * rx, y - 5), (CENTRE + s * (face.cheek + 1.5), y - 8)])
        brush.line(arm, frame, width)
    gap = face.eye_x - rx
    bridge = curve([(CENTRE - gap - 0.5, y - 3), (CENTRE, y - 7), (CENTRE + gap + 0.5, y - 3)])
    brush.line(bridge, frame, width)


def paint_earrings(brush: Brush, who: Identity) -> None:
    """A pair of earrings at the lobes."""
    if who.earrings == "none":
        return
    gold = rgb("e2b35a") if who.scene.seed % 2 else rgb("d8dce4")
    for s in (-1.0, 1.0):
        x, y = CENTRE + s * (who.face.cheek + 4.0), 137.0
        if who.earrings == "hoop":
            turn = np.linspace(0.0, 2 * np.pi, 25)
            hoop = np.stack((x + 6.5 * np.cos(turn), y + 8 + 8.5 * np.sin(turn)), 1).astype(
                np.float32
            )
            brush.line(hoop, cool(gold, 0.4), 2.2)
            brush.line(hoop - np.float32(0.4), light(gold, 0.6), 0.8)
            continue
        brush.oval(x, y, 2.4, 2.4, gold)
        if who.earrings == "drop":
            drop = curve([(x, y + 3), (x + 4, y + 12), (x, y + 16), (x - 4, y + 12)], closed=True)
            brush.fill(drop, who.scene.accent)
            brush.oval(x - 1, y + 10, 1.0, 1.8, WHITE, 0.7)
        brush.oval(x - 0.8, y - 0.8, 0.9, 0.9, WHITE, 0.9)

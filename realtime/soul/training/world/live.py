"""What opens and closes: eyes, brows and mouth, drawn anew each frame through the rig.

Curves are built in neutral coordinates from the row and mapped at the last moment, so a head turn
carries them exactly like the skin below. Knows nothing of hair or clothes.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from soul.training.world.color import WHITE, light, mix, rgb, shadow
from soul.training.world.identity import CENTRE, Identity
from soul.training.world.pen import Brush, Curve, curve, linear, radial, taper
from soul.training.world.rig import Points, Rig, Row, value

LEFT, RIGHT = 1.0, -1.0  # the person's own sides, as signs of x
GAP = 18.0  # units between the lips' inner edges at mouth_open 1, before the skin's own stretch
SCLERA = rgb("f7f0ea")
LASH = rgb("1c1214")
Floats: TypeAlias = NDArray[np.floating[Any]]
_T: Points = np.linspace(-1.0, 1.0, 23, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Lips:
    """The four edges of the lips in neutral coordinates, left to right, [23, 2] each."""

    top: Curve
    upper: Curve
    lower: Curve
    bottom: Curve


def lips_of(who: Identity, row: Row) -> Lips:
    """Where the lips' edges lie before the rig moves them."""
    mouth = who.mouth
    opened, press = value(row, "mouth_open"), value(row, "lips_press")
    x = CENTRE + mouth.half * _T
    a: Points = np.abs(_T)
    rounded = max(-value(row, "mouth_wide"), 0.0)
    bend = (1.0 - 0.7 * rounded) * mouth.curve * (0.5 - a**1.8)
    dip = 0.8 * (1.0 - max(value(row, "smile"), rounded, 0.0)) * np.exp(-((_T / 0.24) ** 2))
    # the corners of an open mouth hang at half its height
    seam = who.face.mouth_y + bend + dip + 0.24 * GAP * opened * a**2.5
    gap = GAP * opened * np.clip(1.0 - a**2.3, 0.0, 1.0) ** (0.75 - 0.2 * rounded)
    stretch = min(max(1.6 * opened, 0.8 * rounded), 1.0)
    thin = 1.0 - 0.5 * press - 0.12 * opened
    cupid = mouth.bow * np.exp(-((_T / 0.14) ** 2))
    up = _lip((1.0 - a) * (1.0 + 0.5 * a) * 1.15, 1.0 - a**2.2, stretch) * mouth.upper * thin
    low = _lip((1.0 - a**2.1) ** 0.95, 1.0 - a**4.0, stretch) * mouth.lower * thin
    upper = seam - 0.2 * gap + 0.6 * press
    lower = seam + 0.8 * gap - 0.6 * press
    edges = (upper - up + cupid, upper, lower, lower + low)
    return Lips(*(np.stack((x, edge), 1).astype(np.float32) for edge in edges))


def _lip(closed: Floats, stretched: Floats, share: float) -> Floats:
    """A lip's profile: an open or rounded mouth has an even rim."""
    return closed + (stretched - closed) * np.float32(share)


class Live:
    """Draws eyes, brows and mouth of one person."""

    def __init__(self, who: Identity, rig: Rig) -> None:
        self._who = who
        self._rig = rig
        side = who.scene.light
        lip = who.mouth.color
        self._upper_lip = shadow(lip, 0.34)
        self._lip_light = light(lip, 0.5)
        self._seam = shadow(shadow(lip, 0.9), 0.55)
        self._side = side
        self._gloss = 0.35 + 0.4 * who.feminine

    def draw(self, brush: Brush, row: Row) -> None:
        """Everything that opens and closes, under `row`."""
        lips = lips_of(self._who, row)
        opened = (self._opened(row, "eye_left"), self._opened(row, "eye_right"))
        moved = iter(
            self._mapped(
                row,
                [
                    *(lips.top, lips.upper, lips.lower, lips.bottom),
                    *self._eye_curves(row, LEFT, opened[0]),
                    self._brow_curve(LEFT, value(row, "brow_left")),
                    *self._eye_curves(row, RIGHT, opened[1]),
                    self._brow_curve(RIGHT, value(row, "brow_right")),
                ],
            )
        )
        self._draw_mouth(brush, row, Lips(next(moved), next(moved), next(moved), next(moved)))
        for s, share in zip((LEFT, RIGHT), opened, strict=True):
            self._draw_eye(brush, s, share, (next(moved), next(moved), next(moved), next(moved)))
            self._draw_brow(brush, next(moved))

    def _mapped(self, row: Row, curves: list[Curve]) -> list[Points]:
        """Map many curves at once: one call of the rig instead of many."""
        ends = np.cumsum([len(c) for c in curves]).tolist()
        points = self._rig.map(np.concatenate(curves), row)
        return [points[b - len(c) : b] for c, b in zip(curves, ends, strict=True)]

    def _draw_mouth(self, brush: Brush, row: Row, lips: Lips) -> None:
        top, upper, lower, bottom = lips.top, lips.upper, lips.lower, lips.bottom
        opened = value(row, "mouth_open")
        if opened > 0.01:
            self._draw_inner_mouth(brush, row, upper, lower)
        lip = self._who.mouth.color
        mid = len(_T) // 2
        y0, y1 = float(top[mid, 1]), float(upper[mid, 1])
        x = float(upper[mid, 0])
        upper_shape = np.concatenate((top, upper[::-1]))
        brush.pour(
            upper_shape,
            linear(
                (x, y0),
                (x, y1 + 0.5),
                [(0.0, mix(lip, self._upper_lip, 0.35), 1.0), (1.0, self._upper_lip, 1.0)],
            ),
            0.5,
        )
        y2, y3 = float(lower[mid, 1]), float(bottom[mid, 1])
        lower_shape = np.concatenate((lower, bottom[::-1]))
        brush.pour(
            lower_shape,
            linear(
                (x, y2),
                (x, y3),
                [
                    (0.0, mix(lip, self._upper_lip, 0.45), 1.0),
                    (0.4, light(lip, 0.14), 1.0),
                    (1.0, mix(lip, self._upper_lip, 0.5), 1.0),
                ],
            ),
            0.6,
        )
        brush.glow(
            x + 7 * self._side, y2 + (y3 - y2) * 0.42, 12.0, 2.9, self._lip_light, self._gloss
        )
        brush.glow(x + 6 * self._side, y0 + 1.2, 8.0, 1.6, self._lip_light, 0.35)
        seam = 0.9 - 0.55 * min(opened * 4.0, 1.0)
        if opened > 0.01:
            brush.fill(taper(upper, 1.5, 0.3, 0.3), self._seam, seam)
            brush.fill(taper(lower, 1.0, 0.3, 0.3), self._seam, 0.3)
        else:
            brush.fill(taper(upper, 2.1, 0.35, 0.35), self._seam, seam)

    def _draw_inner_mouth(self, brush: Brush, row: Row, upper: Points, lower: Points) -> None:
        inside = np.concatenate((upper, lower[::-1]))
        mid = len(_T) // 2
        x, y0, y1 = float(upper[mid, 0]), float(upper[mid, 1]), float(lower[mid, 1])
        gap = y1 - y0
        half = 0.5 * float(upper[-1, 0] - upper[0, 0])
        with brush.inside(inside):
            brush.fill(inside, rgb("4a1518"))
            brush.pour(
                inside,
                linear((x, y0), (x, y1), [(0.0, rgb("2a0a0e"), 1.0), (1.0, rgb("5c1d20"), 1.0)]),
            )
            tongue = value(row, "tongue")
            ty = y1 + 3.0 - tongue * 0.45 * gap
            brush.oval(x, ty, half * 0.56, 5.0 + 0.2 * gap + 3.0 * tongue, rgb("b5555a"), 1.0, 1.2)
            brush.glow(
                x + 3 * self._side, ty - 2.0 - 2.0 * tongue, half * 0.36, 4.0, rgb("e59a98"), 0.6
            )
            self._draw_teeth(brush, upper, x, half, value(row, "teeth"))
            shade = linear(
                (x, y0 - 1),
                (x, y0 + min(5.0, 0.35 * gap + 0.5)),
                [(0.0, rgb("2a0a0e"), 0.6), (1.0, rgb("2a0a0e"), 0.0)],
            )
            brush.pour(inside, shade)

    def _draw_teeth(self, brush: Brush, upper: Points, x: float, half: float, teeth: float) -> None:
        if teeth <= 0.02:
            return
        count = 4
        top = upper[count:-count]
        # the biting edge is an arc of its own: it does not follow the cupid's bow
        bend = np.linspace(-1.0, 1.0, len(top), dtype=np.float32) ** 2
        mid = len(top) // 2
        ends = 0.5 * float(top[0, 1] + top[-1, 1])
        sag = (
            float(top[mid, 1])
            + 8.0 * teeth
            + bend * (0.6 * (ends - float(top[mid, 1])) - 3.5 * teeth)
        )
        edge = np.stack((top[:, 0], sag), 1).astype(np.float32)
        shape = np.concatenate((top - np.float32(1.0), edge[::-1]))
        brush.fill(shape, rgb("f6efe6"), 0.97, 0.5)
        brush.glow(x - half * 0.62, float(top[0, 1]) + 4, 9, 9, rgb("4a1518"), 0.5)
        brush.glow(x + half * 0.62, float(top[-1, 1]) + 4, 9, 9, rgb("4a1518"), 0.5)

    def _lids(self, s: float, opened: float) -> tuple[Curve, Curve, Curve]:
        """Upper lid, lower lid and crease of one eye in neutral coordinates, inner to outer."""
        eyes, face = self._who.eyes, self._who.face
        t = np.linspace(-1.0, 1.0, 17, dtype=np.float32)
        x = CENTRE + s * (face.eye_x + eyes.half * t)
        tilt = -eyes.tilt * 0.5 * (t + 0.2)
        a = np.abs(t + 0.08 * (1 - t * t))
        arch = np.clip(1.0 - a ** (2.0 + 0.5 * eyes.round), 0.0, 1.0)
        dip = np.clip(1.0 - np.abs(t - 0.12 * (1 - t * t)) ** 2.2, 0.0, 1.0)
        y = face.eye_y + tilt + 1.0
        low = y + 0.38 * eyes.height * dip * (0.8 + 0.2 * opened)
        up_open = y - 0.62 * eyes.height * arch
        closed = y + 0.3 * eyes.height * dip
        up = closed + (up_open - closed) * opened
        crease = up_open - (2.2 + 2.2 * eyes.crease) + (1.0 - opened) * 3.0 * arch
        if opened < 0.02:
            low = up
        pairs = (np.stack((x, edge), 1).astype(np.float32) for edge in (up, low, crease))
        up_curve, low_curve, crease_curve = pairs
        return up_curve, low_curve, crease_curve

    def _opened(self, row: Row, eye: str) -> float:
        """How far a lid is open; it follows the gaze down a little."""
        return min(max(value(row, eye), 0.0), 1.1) * (1.0 + 0.12 * min(value(row, "gaze_y"), 0.0))

    def _eye_curves(self, row: Row, s: float, opened: float) -> tuple[Curve, Curve, Curve, Curve]:
        """Lids, crease and the iris's centre in neutral coordinates."""
        face = self._who.face
        centre = np.asarray(
            [
                (
                    CENTRE + s * face.eye_x - 3.6 * value(row, "gaze_x"),
                    face.eye_y - 0.6 - 2.6 * value(row, "gaze_y"),
                )
            ],
            np.float32,
        )
        return (*self._lids(s, opened), centre)

    def _draw_eye(
        self, brush: Brush, s: float, opened: float, moved: tuple[Points, Points, Points, Points]
    ) -> None:
        eyes, skin = self._who.eyes, self._who.skin
        up, low, crease, centre = moved
        if opened > 0.02:
            self._draw_eyeball(brush, up, low, float(centre[0, 0]), float(centre[0, 1]))
        brush.fill(
            taper(crease[1:-1], 1.7, 0.2),
            shadow(skin, 0.95),
            0.2 + 0.4 * eyes.crease * max(opened, 0.3),
        )
        lower = taper(low[3:], 1.2, 0.0, 0.6)
        brush.fill(lower, shadow(skin, 1.0), 0.55)
        lash = mix(LASH, shadow(skin, 1.0), 0.25 * (1 - eyes.lashes))
        brush.fill(taper(self._flick(up, s), 2.5 + 1.5 * eyes.lashes, 0.2, 0.12), lash, 0.95)
        if eyes.lashes > 0.6:
            self._draw_lashes(brush, up, s)

    def _flick(self, up: Points, s: float) -> Points:
        """The lash line, drawn out past the outer corner when lashes are long."""
        reach = 3.2 * max(self._who.eyes.lashes - 0.3, 0.0)
        end = up[-1] + np.asarray((s * reach, -0.75 * reach), np.float32)
        return np.concatenate((up, end[None])).astype(np.float32)

    def _draw_lashes(self, brush: Brush, up: Points, s: float) -> None:
        for k, length in ((11, 2.6), (13, 3.4), (15, 3.8)):
            root = up[k]
            tip = root + np.asarray((s * length * (0.55 + 0.12 * (k - 11)), -length), np.float32)
            bend = 0.5 * (root + tip) + np.asarray((s * 0.8, 0.5), np.float32)
            brush.fill(taper(np.stack((root, bend, tip)), 1.5, 1.0, 0.0), LASH, 0.85)

    def _draw_eyeball(self, brush: Brush, up: Points, low: Points, x: float, y: float) -> None:
        eyes = self._who.eyes
        shape = np.concatenate((up, low[::-1]))
        r = eyes.iris_radius
        iris = eyes.iris
        deep = mix(iris, LASH, 0.62)
        top = float(up[:, 1].min())
        with brush.inside(shape):
            brush.fill(shape, mix(SCLERA, self._who.skin, 0.1))
            ring = radial(
                (x, y),
                r,
                [
                    (0.0, deep, 1.0),
                    (0.4, mix(iris, LASH, 0.25), 1.0),
                    (0.78, iris, 1.0),
                    (0.9, deep, 1.0),
                    (1.0, deep, 1.0),
                ],
            )
            brush.pour(_circle(x, y, r), ring)
            brush.glow(
                x - 1.5 * self._side, y + r * 0.5, r * 0.72, r * 0.46, light(iris, 0.65), 0.7
            )
            brush.oval(x, y, r * 0.43, r * 0.43, rgb("0c0809"))
            shade = linear(
                (x, top),
                (x, top + 8.5),
                [(0.0, rgb("3a2024"), 0.62), (0.5, rgb("3a2024"), 0.22), (1.0, rgb("3a2024"), 0.0)],
            )
            brush.pour(shape, shade)
            brush.oval(x + 2.7 * self._side, y - 2.9, 2.1, 2.1, WHITE, 0.97)
            brush.oval(x - 2.8 * self._side, y + 2.8, 1.1, 1.1, WHITE, 0.55)
            inner = up[0]
            brush.oval(float(inner[0]), float(inner[1]) + 0.8, 3.0, 2.0, rgb("d88a80"), 0.75, 0.6)

    def _brow_curve(self, s: float, raised: float) -> Curve:
        """The spine of one brow in neutral coordinates, inner to outer."""
        brows, face = self._who.brows, self._who.face
        y = face.eye_y - brows.rise
        lift = -5.0 * raised if raised > 0 else -3.6 * raised
        inner = lift + (1.2 * max(-raised, 0.0))
        raw = [
            (10.0, y + 0.9 + inner),
            (18.0, y - 0.4 + inner),
            (30.0, y - brows.arch + lift),
            (40.0, y - brows.arch * 0.75 + lift),
            (51.0, y + 3.6 + brows.slope + lift),
        ]
        scale = face.eye_x / 30.0
        return curve([(CENTRE + s * px * scale, py) for px, py in raw], steps=5)

    def _draw_brow(self, brush: Brush, mapped: Points) -> None:
        brows = self._who.brows
        t = np.linspace(0.0, 1.0, len(mapped), dtype=np.float32)
        half = 0.5 * brows.thick * np.clip(0.75 + 0.8 * t - 1.5 * t**2.2, 0.06, 1.0)
        half *= np.clip(0.35 + 6.0 * t, 0.0, 1.0)
        offset = np.stack((np.zeros_like(half), half), 1)
        shape = np.concatenate((mapped - offset, (mapped + offset)[::-1])).astype(np.float32)
        a, b = mapped[0], mapped[-1]
        shader = linear(
            (float(a[0]), float(a[1])),
            (float(b[0]), float(b[1])),
            [(0.0, brows.color, 0.45), (0.3, brows.color, 0.88), (1.0, brows.color, 0.9)],
        )
        brush.pour(shape, shader, 0.55)
        core = mapped[3:-2]
        brush.fill(taper(core, brows.thick * 0.45, 0.1), shadow(brows.color, 0.8), 0.35, 0.5)


def _circle(x: float, y: float, r: float) -> Curve:
    turn = np.linspace(0.0, 2 * np.pi, 33)
    return np.stack((x + r * np.cos(turn), y + r * np.sin(turn)), 1).astype(np.float32)

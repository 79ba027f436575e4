"""A brush over a canvas: soft fills, tapered strokes, smooth curves. Knows nothing of faces."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import skia
from numpy.typing import NDArray

from soul.training.world.color import Rgb

Curve = NDArray[np.float32]  # [N, 2]
Stop = tuple[float, Rgb, float]  # place 0 .. 1, colour, alpha


def curve(
    points: Sequence[tuple[float, float]] | Curve, closed: bool = False, steps: int = 10
) -> Curve:
    """A smooth (centripetal-free Catmull-Rom) curve through points, `steps` samples a span."""
    p = np.asarray(points, np.float32)
    if closed:
        p = np.concatenate((p[-1:], p, p[:2]))
    else:
        p = np.concatenate((2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]))
    t = np.linspace(0.0, 1.0, steps, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None, :] for i in range(4))
    spans = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    out = spans.reshape(-1, 2)
    return out if closed else np.concatenate((out, p[-2:-1]))


def mirror(points: Curve, centre: float) -> Curve:
    """The other side of the middle line."""
    out = points.copy()
    out[:, 0] = 2 * centre - out[:, 0]
    return out


def resample(points: Curve, count: int) -> Curve:
    """`count` points at equal distances along a curve."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    at = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(at, along, points[:, i]) for i in (0, 1)], 1).astype(np.float32)


def taper(points: Curve, width: float, head: float = 0.15, tail: float = 0.0) -> Curve:
    """The outline of a stroke: `width` at its middle, shares `head` and `tail` at its ends."""
    half = (0.5 * width) * _profile(len(points), head, tail)
    normal = np.empty_like(points)
    normal[1:-1, 0] = points[:-2, 1] - points[2:, 1]
    normal[1:-1, 1] = points[2:, 0] - points[:-2, 0]
    normal[0] = (points[0, 1] - points[1, 1], points[1, 0] - points[0, 0])
    normal[-1] = (points[-2, 1] - points[-1, 1], points[-1, 0] - points[-2, 0])
    length = np.hypot(normal[:, 0], normal[:, 1])
    normal *= (half / np.maximum(length, 1e-6))[:, None]
    return np.concatenate((points + normal, (points - normal)[::-1])).astype(np.float32)


@lru_cache(maxsize=256)
def _profile(count: int, head: float, tail: float) -> NDArray[np.float32]:
    """The share of a stroke's width along it, [count]."""
    along = np.linspace(0.0, 1.0, count, dtype=np.float32)
    swell = np.maximum(np.sin(np.pi * along), 0.0) ** 0.6
    ends = head * (1 - along) + tail * along
    return np.asarray(np.maximum(swell, ends), np.float32)


def path_of(points: Curve, closed: bool = True) -> skia.Path:
    """A polygon as a path."""
    return skia.Path.Polygon([skia.Point(x, y) for x, y in points.tolist()], closed)


@lru_cache(maxsize=4096)
def ink(color: Rgb, alpha: float = 1.0) -> int:
    """A packed colour."""
    r, g, b = (int(min(max(c, 0.0), 1.0) * 255 + 0.5) for c in color)
    return int(skia.Color(r, g, b, int(min(max(alpha, 0.0), 1.0) * 255 + 0.5)))


def linear(a: tuple[float, float], b: tuple[float, float], stops: Sequence[Stop]) -> skia.Shader:
    """A gradient from a to b."""
    return skia.GradientShader.MakeLinear(
        [skia.Point(*a), skia.Point(*b)], [ink(c, al) for _, c, al in stops], [s[0] for s in stops]
    )


def radial(centre: tuple[float, float], radius: float, stops: Sequence[Stop]) -> skia.Shader:
    """A gradient around a centre."""
    return skia.GradientShader.MakeRadial(
        skia.Point(*centre), radius, [ink(c, al) for _, c, al in stops], [s[0] for s in stops]
    )


class Brush:
    """Fills and strokes on one canvas, in the canvas's own units."""

    def __init__(self, canvas: skia.Canvas) -> None:
        self.canvas = canvas

    def fill(self, points: Curve, color: Rgb, alpha: float = 1.0, blur: float = 0.0) -> None:
        """A flat shape, its edge softened by `blur` (standard deviation)."""
        self.canvas.drawPath(path_of(points), _paint(color, alpha, blur))

    def pour(self, points: Curve, shader: skia.Shader, blur: float = 0.0) -> None:
        """A shape filled with a gradient."""
        paint = skia.Paint(AntiAlias=True, Shader=shader)
        if blur > 0.0:
            paint.setMaskFilter(_soft(blur))
        self.canvas.drawPath(path_of(points), paint)

    def line(
        self, points: Curve, color: Rgb, width: float, alpha: float = 1.0, blur: float = 0.0
    ) -> None:
        """A stroke of constant width with round ends."""
        paint = _paint(color, alpha, blur)
        paint.setStyle(skia.Paint.kStroke_Style)
        paint.setStrokeWidth(width)
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        paint.setStrokeJoin(skia.Paint.kRound_Join)
        self.canvas.drawPath(path_of(points, closed=False), paint)

    def oval(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        color: Rgb,
        alpha: float = 1.0,
        blur: float = 0.0,
    ) -> None:
        """An ellipse."""
        self.canvas.drawOval(
            skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry), _paint(color, alpha, blur)
        )

    def glow(self, x: float, y: float, rx: float, ry: float, color: Rgb, alpha: float) -> None:
        """An ellipse that fades to nothing at its rim: light, blush, shade."""
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.scale(rx, ry)
        stops = [
            (0.0, color, alpha),
            (0.35, color, alpha * 0.72),
            (0.7, color, alpha * 0.2),
            (1.0, color, 0.0),
        ]
        paint = skia.Paint(AntiAlias=True, Shader=radial((0.0, 0.0), 1.0, stops))
        self.canvas.drawCircle(0.0, 0.0, 1.0, paint)
        self.canvas.restore()

    @contextmanager
    def inside(self, points: Curve) -> Iterator[None]:
        """Draw only inside a shape."""
        self.canvas.save()
        self.canvas.clipPath(path_of(points), skia.ClipOp.kIntersect, True)
        yield
        self.canvas.restore()


def _soft(blur: float) -> skia.MaskFilter:
    return skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur)


def _paint(color: Rgb, alpha: float, blur: float) -> skia.Paint:
    paint = skia.Paint(AntiAlias=True, Color=ink(color, alpha))
    if blur > 0.0:
        paint.setMaskFilter(_soft(blur))
    return paint

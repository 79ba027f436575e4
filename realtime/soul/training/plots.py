"""Small plots as inline SVG: curves over time, a histogram, pairs of bars.

Colours and fonts come from classes that the page styles, so that light and dark both work. Texts
are escaped here. Knows nothing of what is plotted.
"""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soul.measure.life import runs
from soul.timebase import FRAME_RATE

WIDTH = 960.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 10.0, 12.0, 24.0  # margins around a plot's field


def svg(height: float, label: str, parts: Sequence[str]) -> str:
    """A drawing of WIDTH x `height` units; `label` says what it shows to who cannot see it."""
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def curves(
    label: str,
    lines: Mapping[str, ArrayLike],
    shaded: NDArray[np.bool_] | None = None,
    marks: Sequence[int] = (),
    height: float = 150.0,
    ends: tuple[str, str] = ("shut", "open"),
) -> str:
    """Curves [T] of 0 .. 1 over time; the names of `lines` are their classes, `ends` what 0 and 1
    are called.

    `shaded` frames lie on a band, and a tick under the field marks each frame of `marks`.
    """
    values = {name: np.asarray(line, np.float64) for name, line in lines.items()}
    frames = max(line.size for line in values.values())
    where = runs(shaded) if shaded is not None else []
    parts = [band(start, end, frames, height) for start, end in where]
    parts += [time_axis(frames, height), ends_axis(height, ends)]
    parts += [polyline(name, line, height) for name, line in values.items()]
    parts += [tick(frame, frames, height) for frame in marks if frame < frames]
    return svg(height, label, parts)


def x_of(frame: float, frames: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * frame / max(1, frames - 1)


def y_of(value: float, height: float) -> float:
    return TOP + (height - TOP - BOTTOM) * (1.0 - min(max(value, 0.0), 1.0))


def polyline(name: str, line: NDArray[np.float64], height: float) -> str:
    points = " ".join(
        f"{x_of(frame, line.size):.1f},{y_of(value, height):.1f}"
        for frame, value in enumerate(line.tolist())
    )
    return f'<polyline class="line {escape(name)}" points="{points}"/>'


def band(start: int, end: int, frames: int, height: float) -> str:
    left, right = x_of(start, frames), x_of(min(end, frames - 1), frames)
    return (
        f'<rect class="band" x="{left:.1f}" y="{TOP:g}" width="{max(right - left, 1):.1f}" '
        f'height="{height - TOP - BOTTOM:g}"/>'
    )


def tick(frame: int, frames: int, height: float) -> str:
    x, y = x_of(frame, frames), height - BOTTOM
    return f'<path class="tick" d="M{x:.1f} {y:g}l-4 7h8z"/>'


def time_axis(frames: int, height: float) -> str:
    """A line and seconds below it, about a dozen of them."""
    seconds = frames / FRAME_RATE
    step = next((s for s in (1, 2, 5, 10, 20, 60) if seconds / s <= 13), 300)
    base = height - BOTTOM
    labels = [
        text(x_of(second * FRAME_RATE, frames), height - 6, f"{second} s", "middle")
        for second in range(step, int(seconds) + 1, step)
    ]
    return f'<path class="axis" d="M{LEFT:g} {base:g}H{WIDTH - RIGHT:g}"/>{"".join(labels)}'


def ends_axis(height: float, ends: tuple[str, str]) -> str:
    low, high = ends
    return text(LEFT - 6, y_of(1, height) + 9, high, "end") + text(
        LEFT - 6, y_of(0, height), low, "end"
    )


def text(x: float, y: float, said: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'


def histogram(label: str, counts: Mapping[int, int], height: float = 190.0) -> str:
    """A column for every whole number from three below to three above what was counted.

    Zero is always in view, and its column has the class "zero".
    """
    low, high = min([0, *counts]) - 3, max([0, *counts]) + 3
    tallest = max([1, *counts.values()])
    room = (WIDTH - LEFT - RIGHT) / (high - low + 1)
    parts = [f'<path class="axis" d="M{LEFT:g} {height - BOTTOM:g}H{WIDTH - RIGHT:g}"/>']
    for value in range(low, high + 1):
        count = counts.get(value, 0)
        tall = (height - TOP - BOTTOM - 16) * count / tallest
        left, top = LEFT + room * (value - low), height - BOTTOM - tall
        kind = "column zero" if value == 0 else "column"
        parts.append(
            f'<rect class="{kind}" x="{left + 0.12 * room:.1f}" y="{top:.1f}" '
            f'width="{0.76 * room:.1f}" height="{tall:.1f}" rx="3"/>'
        )
        said = f"{value:+d}".replace("-", "−") if value else "0"
        parts.append(text(left + room / 2, height - 6, said, "middle"))
        if count:
            parts.append(text(left + room / 2, top - 5, str(count), "middle"))
    return svg(height, label, parts)


Bars = Sequence[tuple[str, float | None, float | None]]  # label, the model's, the renders'


def pairs(label: str, rows: Bars, unit: str = "", limit: float | None = None) -> str:
    """Two bars a row from a common zero; `limit` draws an upright line that should be kept to."""
    known = [value for _, *two in rows for value in two if value is not None]
    known += [] if limit is None else [limit]
    low, high = min([0.0, *known]), max([1e-6, *known])
    left, right, row_height = 270.0, 70.0, 46.0
    scale = (WIDTH - left - right) / (high - low)
    zero = left - low * scale
    height = row_height * len(rows) + 8
    parts = [f'<path class="axis" d="M{zero:.1f} 4V{height - 4:g}"/>']
    for index, (name, *two) in enumerate(rows):
        top = 6 + row_height * index
        parts.append(text(min(left, zero) - 12, top + 22, name, "end"))
        for at, kind, value in ((0.0, "model", two[0]), (17.0, "world", two[1])):
            parts.append(bar(zero, top + at, value, scale, kind, unit))
    if limit is not None:
        parts.append(f'<path class="limit" d="M{zero + limit * scale:.1f} 2V{height - 2:g}"/>')
    return svg(height, label, parts)


def bar(zero: float, top: float, value: float | None, scale: float, kind: str, unit: str) -> str:
    if value is None:
        return text(zero + 8, top + 12, "not in these takes")
    end = zero + value * scale
    said = f"{value:.2f}{unit}".replace("-", "−")
    return (
        f'<rect class="column {kind}" x="{min(zero, end):.1f}" y="{top:.1f}" '
        f'width="{max(abs(end - zero), 1.5):.1f}" height="14" rx="3"/>'
        + text(max(zero, end) + 8, top + 11.5, said)
    )

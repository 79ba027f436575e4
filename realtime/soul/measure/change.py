"""Does something change when it is asked to, soon, and without a jump? Curves of one value a frame.

Knows neither what a curve is nor who asked; lags are in frames.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BRIEF = 9  # frames: what lasts less than half of this, such as a blink, does not count
_STAYS = 3  # frames: so long must a curve be there to have arrived


def courses(
    channels: ArrayLike, wanted: ArrayLike, at: int, settled: int
) -> tuple[NDArray[np.float64], float]:
    """How far `channels` [frames, n] have gone where `wanted` [n] would take them.

    A curve [frames], 0 as usual before frame `at` and 1 where they have moved by all of `wanted`;
    and its usual value from frame `settled` on. Raises ValueError if `wanted` is nowhere to go or a
    frame is out of order.
    """
    curves, way = np.asarray(channels, np.float64), np.asarray(wanted, np.float64)
    length = float(way @ way)
    if not 0 < at <= settled < len(curves) or length <= 0.0:
        raise ValueError(
            f"a change by {length:.3g} at frame {at}, settled at {settled}, in {len(curves)} "
            "frames; expected a change, and 0 < at <= settled < frames"
        )
    gone = (curves - np.median(curves[:at], 0)) @ way / length
    return gone, float(np.median(gone[settled:]))


def half_way(curve: ArrayLike, at: int, end: float) -> float:
    """Frames after `at` until `curve` [frames] has reached half of `end` and stays; nan if never.

    What is over within 160 ms does not count.
    """
    padded = np.pad(np.asarray(curve, np.float64), _BRIEF // 2, "edge")
    calm = np.median(np.lib.stride_tricks.sliding_window_view(padded, _BRIEF), 1)
    there = calm[at:] / end >= 0.5
    held = np.convolve(there, np.ones(_STAYS), "valid") if there.size >= _STAYS else np.zeros(0)
    frames = np.flatnonzero(held > _STAYS - 0.5)
    return float(frames[0]) if frames.size else float("nan")


def jump(change: ArrayLike, at: int, window: int = 25) -> float:
    """The largest change in the `window` frames from `at` on, over that of a usual window.

    `change` [frames - 1] is how much each frame differs from the one before it. Usual is the median
    of the largest changes of the other windows, counted from `at` in both directions; nan if there
    is none or nothing ever moves in them.
    """
    curve = np.asarray(change, np.float64)
    first = at % window
    tallest = {
        start: float(curve[start : start + window].max())
        for start in range(first, curve.size - window + 1, window)
    }
    here = tallest.pop(at, float("nan"))
    usual = float(np.median(list(tallest.values()))) if tallest else 0.0
    return here / usual if usual > 0.0 else float("nan")

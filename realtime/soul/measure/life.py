"""Signs of life in a curve of the eyes' opening, one value a frame: blinks and stares.

Knows nothing of pictures; the frame rate is an argument.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def blinks(
    opening: ArrayLike, closed: float = 0.5, longest: int = 15, after: float = 0.7
) -> NDArray[np.int64]:
    """First frames of the blinks in a curve [frames] of 1 open, 0 closed.

    A blink falls below `closed` times the curve's usual opening (its median) and comes back above
    `after` times it within `longest` frames; longer ones are closed eyes, not blinks.
    """
    curve = np.asarray(opening, np.float64)
    if not curve.size:
        return np.zeros(0, np.int64)
    usual = float(np.median(curve))
    found: list[int] = []
    frame = 0
    while frame < curve.size:
        if curve[frame] >= closed * usual:
            frame += 1
            continue
        back = np.flatnonzero(curve[frame:] >= after * usual)
        length = int(back[0]) if back.size else curve.size - frame
        if back.size and length <= longest:
            found.append(frame)
        frame += length
    return np.array(found, np.int64)


def blinks_shown(told: ArrayLike, opening: ArrayLike, within: int = 3) -> float:
    """The share of the blinks in the curve `told` that `opening` shows within `within` frames.

    nan if none was told. Both are [frames].
    """
    wanted, seen = blinks(told), blinks(opening)
    if not wanted.size:
        return float("nan")
    near = np.abs(wanted[:, None] - seen[None, :]) <= within
    return float(near.any(1).mean())


def blinks_per_minute(opening: ArrayLike, frame_rate: float = 25.0) -> float:
    """Blinks a minute of a curve [frames]; nan for an empty curve."""
    curve = np.asarray(opening, np.float64)
    return 60.0 * frame_rate * blinks(curve).size / curve.size if curve.size else float("nan")


def longest_stare(opening: ArrayLike, frame_rate: float = 25.0) -> float:
    """The longest time without a blink in seconds, the curve's two ends included."""
    curve = np.asarray(opening, np.float64)
    marks = np.concatenate([[0], blinks(curve), [curve.size]])
    return float(np.max(np.diff(marks))) / frame_rate

"""Signs of life in curves of one value a frame: blinks, stares, motion, and what moves with what.

Knows nothing of pictures; the frame rate is an argument.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soul.measure.lips import correlation

_ONE_NOD = 5  # frames around the lowest of a nod in which there is no other


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First frame and the one after the last of every run of a mask [frames]."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


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


def blink_irregularity(opening: ArrayLike) -> float:
    """Deviation of the times between blinks over their mean: 0 is a clock, 1 is pure chance.

    nan with fewer than four blinks: two gaps or less say nothing about their spread.
    """
    gaps = np.diff(blinks(opening))
    return float(gaps.std() / gaps.mean()) if gaps.size > 2 else float("nan")


def nods(pitch: ArrayLike, depth: float = 0.1, reach: int = 10) -> NDArray[np.int64]:
    """The lowest frames of the nods in a curve [frames] of a head's pitch, up positive.

    A nod comes down by at least `depth` within `reach` frames and goes up as much within as many;
    two that are less than 200 ms apart are one.
    """
    curve = np.asarray(pitch, np.float64)
    found: list[int] = []
    if not curve.size:
        return np.zeros(0, np.int64)
    curve = np.convolve(np.pad(curve, 1, "edge"), (0.25, 0.5, 0.25), "valid")
    for frame in range(1, curve.size - 1):
        before, after = curve[max(0, frame - reach) : frame], curve[frame + 1 : frame + 1 + reach]
        near = min(before[-_ONE_NOD:].min(), after[:_ONE_NOD].min())
        fall, rise = before.max() - curve[frame], after.max() - curve[frame]
        alone = not found or frame - found[-1] > _ONE_NOD
        if alone and curve[frame] <= near and min(fall, rise) >= depth:
            found.append(frame)
    return np.array(found, np.int64)


def liveliness(*channels: ArrayLike) -> float:
    """How much several channels [frames] move together: the root of their summed variances."""
    return float(np.sqrt(sum(np.var(np.asarray(channel, np.float64)) for channel in channels)))


def follows(causes: Sequence[ArrayLike], effects: Sequence[ArrayLike], lag: int) -> float:
    """Correlation, over several takes, of `causes` with the `effects` of `lag` >= 0 frames later.

    Curves [frames] in pairs of equal length above `lag`; each counts from its own mean.
    """
    pairs = [
        (np.asarray(a, np.float64)[: np.size(a) - lag], np.asarray(b, np.float64)[lag:])
        for a, b in zip(causes, effects, strict=True)
    ]
    first, second = ([c - c.mean() for c in side] for side in zip(*pairs, strict=True))
    return correlation(np.concatenate(first), np.concatenate(second))

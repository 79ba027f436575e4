"""Do the lips follow the sound? Measures on curves of the mouth's opening, one value a frame.

Knows neither where a curve comes from (a drawing, a probe, a landmark) nor the frame rate: lags
are in frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Curve = NDArray[np.float64]


def correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Pearson's correlation of two curves [frames]; 0 if one of them is constant.

    Raises ValueError if the lengths differ.
    """
    a, b = _pair(first, second)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / scale if scale > 1e-12 else 0.0


@dataclass(frozen=True)
class Lag:
    """`frames` by which the measured curve is late (negative: early), and the correlation there."""

    frames: int
    correlation: float


def best_lag(truth: ArrayLike, measured: ArrayLike, reach: int = 10) -> Lag:
    """The shift within ±`reach` frames at which `measured` fits `truth` best; of equals the least.

    Raises ValueError if the curves differ in length or are not longer than `reach` + 1 frames.
    """
    a, b = _pair(truth, measured)
    if a.size < reach + 2:
        raise ValueError(f"curves have {a.size} frames, expected at least {reach + 2}")
    lags = sorted(range(-reach, reach + 1), key=abs)
    scores = [correlation(*_shifted(a, b, lag)) for lag in lags]
    best = int(np.argmax(scores))
    return Lag(lags[best], scores[best])


def lags(
    truth: ArrayLike, measured: ArrayLike, length: int = 60, still: float = 0.05
) -> NDArray[np.int64]:
    """Lags of `best_lag`, one for each whole stretch of `length` frames in which the mouth moves.

    A mouth whose true opening deviates by no more than `still` in a stretch has no lag there.
    """
    a, b = _pair(truth, measured)
    starts = range(0, a.size - length + 1, length)
    pairs = [(a[start : start + length], b[start : start + length]) for start in starts]
    found = [best_lag(part, seen).frames for part, seen in pairs if part.std() > still]
    return np.array(found, np.int64)


def closure_in_silence(opening: ArrayLike, silent: ArrayLike, threshold: float = 0.08) -> float:
    """Share of the `silent` frames in which `opening` is below `threshold`; nan without silence."""
    curve, mask = _pair(opening, silent)
    quiet = curve[mask > 0]
    return float(np.mean(quiet < threshold)) if quiet.size else float("nan")


def bilabial_closure(
    opening: ArrayLike, closures: ArrayLike, threshold: float = 0.15, reach: int = 1
) -> float:
    """Share of closures (/p b m/, frame indices [n]) met by an opening below `threshold`.

    A closure counts as met if the lips close within ±`reach` frames of it; nan without closures.
    """
    curve = np.asarray(opening, np.float64)
    met = [
        curve[max(0, frame - reach) : frame + reach + 1].min() < threshold
        for frame in np.asarray(closures, np.int64)
        if 0 <= frame < curve.size
    ]
    return float(np.mean(met)) if met else float("nan")


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[Curve, Curve]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise ValueError(f"curves have shapes {a.shape} and {b.shape}, expected equal [frames]")
    return a, b


def _shifted(truth: Curve, measured: Curve, lag: int) -> tuple[Curve, Curve]:
    if lag >= 0:
        return truth[: truth.size - lag], measured[lag:]
    return truth[-lag:], measured[:lag]

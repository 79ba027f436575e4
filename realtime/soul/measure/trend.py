"""Does a figure change with time? A straight line through its values, and how sure its slope is.

Knows nothing of what the figure is; numpy alone.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEAST = 3  # points: a line through two has no error
_STICKIEST = 0.95  # correlation of neighbours beyond which the error says nothing anyway


@dataclass(frozen=True, slots=True)
class Trend:
    """A slope per unit of time and its standard error; both nan with fewer than three points."""

    slope: float
    error: float

    @property
    def seen(self) -> bool:
        """Whether the slope lies more than two standard errors from zero."""
        return abs(self.slope) > 2.0 * self.error


def trend(at: ArrayLike, values: ArrayLike) -> Trend:
    """The least-squares slope of `values` [n] over times `at` [n]; nan values are left out.

    Neighbouring minutes are alike, so the usual error would be too small: it is widened by
    sqrt((1 + r) / (1 − r)), r being the residuals' correlation with their successors (the
    effective sample size of an AR(1) process). Raises ValueError if the lengths differ.
    """
    x, y = np.asarray(at, np.float64), np.asarray(values, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"times and values have shapes {x.shape} and {y.shape}, expected equal [n]"
        )
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if x.size < _LEAST:
        return Trend(math.nan, math.nan)
    x = x - x.mean()
    spread = float(x @ x)
    slope = float(x @ y) / spread
    rest = y - y.mean() - slope * x
    rounding = np.finfo(np.float64).eps * float(np.abs(y).max())
    error = max(math.sqrt(float(rest @ rest) / (x.size - 2)) * _widening(rest), rounding)
    return Trend(slope, error / math.sqrt(spread))


def _widening(rest: NDArray[np.float64]) -> float:
    total = float(rest @ rest)
    if total <= 1e-24:
        return 1.0
    stickiness = min(max(float(rest[1:] @ rest[:-1]) / total, 0.0), _STICKIEST)
    return math.sqrt((1.0 + stickiness) / (1.0 - stickiness))

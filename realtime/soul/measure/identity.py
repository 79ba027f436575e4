"""How well distances tell people apart. Arrays in, numbers out; numpy alone.

A distance is 1 − cosine of two unit vectors: 0 for one direction, 1 for strangers at right angles.
Knows nothing of what made the vectors.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Verification:
    """Pairs of one person against pairs of two, told apart by one threshold on their distance."""

    equal_error_rate: float  # share of either kind that is taken for the other
    threshold: float  # distances up to it are called one person
    same: float  # median distance of one person's pictures
    different: float  # median distance of two people's


def cosine_distance(first: ArrayLike, second: ArrayLike) -> float:
    """1 − cosine of two vectors [d], in 0 .. 2.

    Raises ValueError if they are no vectors of one length, or one of them is zero.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"vectors have shapes {a.shape} and {b.shape}, expected equal [d]")
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    if scale == 0.0:
        raise ValueError("a vector is zero, expected one with a direction")
    return max(0.0, 1.0 - float(a @ b) / scale)


def verification(same: ArrayLike, different: ArrayLike) -> Verification:
    """The threshold at which both errors are equal, over distances [n] and [m].

    Raises ValueError if there are no distances of either kind.
    """
    near, far = np.sort(np.ravel(same)), np.sort(np.ravel(different))
    if not near.size or not far.size:
        raise ValueError(f"{near.size} and {far.size} distances, expected some of both kinds")
    candidates = np.unique(np.concatenate((near, far)))
    missed = 1.0 - np.searchsorted(near, candidates, "right") / near.size
    taken = np.searchsorted(far, candidates, "right") / far.size
    best = int(np.argmin(np.abs(missed - taken)))
    return Verification(
        equal_error_rate=float(0.5 * (missed[best] + taken[best])),
        threshold=float(candidates[best]),
        same=float(np.median(near)),
        different=float(np.median(far)),
    )

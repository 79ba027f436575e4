"""The fast pullback: its plain twin, and the paper's own promises."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from soul.kernels import pullback as module
from soul.kernels import reference
from soul.kernels.pullback import BLOCK, least, pullback

CASES = {
    "seed": st.integers(0, 9999),
    "features": st.integers(1, 40),
    "centroids": st.integers(1, 30),
    "channels": st.integers(1, 48),
    "spread": st.floats(0.1, 20),
}


def draw(
    seed: int, features: int, centroids: int, channels: int, spread: float
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(features, channels, generator=generator) * spread,
        torch.randn(centroids, channels, generator=generator),
    )


def distances(features: Tensor, centroids: Tensor) -> Tensor:
    """To the nearest centroid, in float64."""
    exact: Tensor = (features.double()[:, None] - centroids.double()[None]).norm(dim=-1)
    return exact.min(-1).values


@given(threshold=st.floats(0, 30), **CASES)
def test_it_is_the_plain_form(threshold: float, **case: int) -> None:
    features, centroids = draw(**case)
    exact = (features.double()[:, None] - centroids.double()[None]).norm(dim=-1)
    if exact.shape[1] > 1:  # where two centroids are equally near, either is right
        near = exact.topk(2, largest=False).values
        assume(bool((near[:, 1] - near[:, 0] > 1e-3).all()))
    tau = torch.tensor(threshold)
    found, distance = pullback(features, centroids, tau)
    wanted, expected = reference.pullback(features, centroids, tau)
    torch.testing.assert_close(distance, expected, atol=1e-5, rtol=1e-5)
    clear = (expected - tau).abs() > 1e-4
    torch.testing.assert_close(found[clear], wanted[clear], atol=1e-4, rtol=1e-4)


@given(threshold=st.floats(0.01, 30), **CASES)
def test_inside_untouched_outside_to_the_edge(threshold: float, **case: int) -> None:
    features, centroids = draw(**case)
    pulled, distance = pullback(features, centroids, torch.tensor(threshold))
    before, after = distances(features, centroids), distances(pulled, centroids)
    inside = distance <= threshold
    assert torch.equal(pulled[inside], features[inside])
    torch.testing.assert_close(distance.double(), before, atol=1e-4, rtol=1e-4)
    edge = torch.full_like(after[~inside], threshold)
    torch.testing.assert_close(after[~inside], edge, atol=1e-4, rtol=1e-4)


@given(**CASES)
def test_an_infinite_threshold_is_the_identity(**case: int) -> None:
    features, centroids = draw(**case)
    assert torch.equal(pullback(features, centroids, torch.tensor(math.inf))[0], features)


@given(**CASES)
def test_a_threshold_of_nought_is_quantisation(**case: int) -> None:
    features, centroids = draw(**case)
    pulled, _ = pullback(features, centroids, torch.tensor(0.0))
    assert distances(pulled, centroids).max() < 1e-5


def test_features_that_are_centroids_stay_exactly() -> None:
    centroids = torch.randn(7, 48) * 30
    for threshold in (0.0, 1.0):
        pulled, distance = pullback(centroids.clone(), centroids, torch.tensor(threshold))
        assert torch.equal(pulled, centroids)
        assert not distance.any()


def test_far_clusters_keep_their_digits() -> None:
    """Where ‖f‖² − 2 f·c + ‖c‖² alone would have lost the small distance."""
    centroids = torch.randn(5, 48) + 1000
    features = centroids + 0.01
    _, distance = pullback(features, centroids, torch.tensor(1.0))
    torch.testing.assert_close(distance, torch.full((5,), 0.01 * 48**0.5), rtol=2e-2, atol=0)


@pytest.mark.parametrize("count", [1, 7, BLOCK, BLOCK + 1, 4 * BLOCK])
def test_the_least_is_the_first_of_the_least(count: int) -> None:
    """Of few different values, so that many are equally small."""
    scores = torch.randint(0, 5, (50, count), generator=torch.Generator().manual_seed(count))
    assert torch.equal(least(scores.float()), scores.float().argmin(-1))


@pytest.mark.parametrize("scores", [1, 60, 89, 90])
def test_very_many_features_take_several_products(
    scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, centroids = draw(0, 30, 30, 48, 1.0)
    whole = pullback(features, centroids, torch.tensor(5.0))
    monkeypatch.setattr(module, "SCORES", scores)
    for found, wanted in zip(pullback(features, centroids, torch.tensor(5.0)), whole, strict=True):
        torch.testing.assert_close(found, wanted)

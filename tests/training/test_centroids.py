"""k-means on clusters that are plain to see, and τ as the quantile that was asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from soul.training.centroids import (
    build_codebook,
    k_means,
    load_codebook,
    nearest,
    save_codebook,
)


def clusters(count: int, each: int) -> tuple[Tensor, Tensor]:
    """Tight clusters far apart: features [count · each, 8] in mixed order, and their centres."""
    draw = torch.Generator().manual_seed(0)
    centres = torch.eye(8)[:count] * 100
    features = centres.repeat_interleave(each, 0)
    features = features + torch.randn(features.shape, generator=draw) * 0.1
    return features[torch.randperm(len(features), generator=draw)], centres


def test_the_nearest_centroid_and_its_distance() -> None:
    features, centroids = torch.randn(50, 8), torch.randn(7, 8)
    index, distance = nearest(features, centroids)
    exact = (features[:, None] - centroids).norm(dim=-1)
    assert torch.equal(index, exact.argmin(-1))
    torch.testing.assert_close(distance, exact.min(-1).values, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_separate_clusters_are_all_found(seed: int) -> None:
    """With some centroids to spare: Lloyd's algorithm alone finds the best answer nearby only."""
    features, centres = clusters(5, 40)
    found = k_means(features, 25, rounds=12, seed=seed)
    assert nearest(centres, found)[1].max() < 0.3
    assert nearest(features, found)[1].max() < 1


@pytest.mark.parametrize("seed", range(5))
def test_rounds_bring_the_centroids_nearer(seed: int) -> None:
    features = torch.randn(300, 8, generator=torch.Generator().manual_seed(seed))
    costs = [
        float(nearest(features, k_means(features, 12, rounds, seed))[1].square().mean())
        for rounds in (0, 1, 3, 10)
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 0.9 * costs[0]


def test_one_cluster_is_its_mean() -> None:
    features = torch.randn(50, 8)
    torch.testing.assert_close(k_means(features, 1, 2, seed=0)[0], features.mean(0))


def test_the_same_seed_finds_the_same_centroids() -> None:
    features = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(k_means(features, 9, 5, seed=3), k_means(features, 9, 5, seed=3))
    assert not torch.equal(k_means(features, 9, 5, seed=3), k_means(features, 9, 5, seed=4))


def test_an_empty_cluster_starts_again_from_what_is_far_away() -> None:
    """Equal features leave all but one of their centroids empty; the outliers get them."""
    far = torch.tensor([[50.0] * 8, [-50.0] * 8])
    features = torch.cat((torch.zeros(100, 8), far))
    found = k_means(features, 3, rounds=6, seed=0)
    assert nearest(features, found)[1].max() < 1e-3


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_tau_is_the_quantile_of_latents_that_k_means_did_not_see(quantile: float) -> None:
    draw = np.random.default_rng(0)
    seen, fresh = draw.standard_normal((2, 150, 48, 4, 4)).astype(np.float16)
    codebook = build_codebook(seen, 16, quantile, seed=0)
    _, strays = codebook(torch.from_numpy(fresh.astype(np.float32)))
    assert float(strays.mean()) == pytest.approx(1 - quantile, abs=0.04)
    assert codebook.centroids.shape == (16, 48)


def test_the_sample_bounds_the_work() -> None:
    latents = np.random.default_rng(0).standard_normal((100, 48, 4, 4)).astype(np.float16)
    few = build_codebook(latents, 4, 0.9, seed=0, sample=160)  # 2 · 160 cells of 16 a latent
    assert few.centroids.isfinite().all()
    assert float(few.threshold) > 0


def test_a_codebook_survives_the_disk(tmp_path: Path) -> None:
    latents = np.random.default_rng(0).standard_normal((20, 48, 4, 4)).astype(np.float16)
    codebook = build_codebook(latents, 8, 0.9, seed=0)
    save_codebook(codebook, tmp_path / "new" / "codebook.pt")
    found = load_codebook(tmp_path / "new" / "codebook.pt")
    assert torch.equal(found.centroids, codebook.centroids)
    assert found.threshold == codebook.threshold
    same = build_codebook(latents, 8, 0.9, seed=0)
    assert torch.equal(same.centroids, codebook.centroids)

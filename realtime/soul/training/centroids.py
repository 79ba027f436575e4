"""Stage `codebook`: k-means over the training latents, and τ measured on them.

The paper fixes its threshold; here τ is a quantile of the nearest-centroid distances.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soul.model.codebook import Codebook


def nearest(features: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Index of and distance to the nearest centroid of each of `features` [n, d]."""
    found = [torch.cdist(part, centroids).min(-1) for part in features.split(8192)]
    return torch.cat([f.indices for f in found]), torch.cat([f.values for f in found])


def k_means(features: Tensor, count: int, rounds: int, seed: int) -> Tensor:
    """Lloyd's algorithm; an empty cluster restarts from the feature that is farthest away."""
    generator = torch.Generator().manual_seed(seed)
    centroids = features[torch.randperm(len(features), generator=generator)[:count]].clone()
    for _ in range(rounds):
        index, distance = nearest(features, centroids)
        sums = torch.zeros_like(centroids).index_add_(0, index, features)
        sizes = torch.bincount(index, minlength=len(centroids))
        centroids = sums / sizes.clamp_min(1).unsqueeze(-1)
        empty = (sizes == 0).nonzero().flatten()
        centroids[empty] = features[distance.topk(len(empty)).indices]
    return centroids


def build_codebook(
    latents: np.ndarray, count: int, quantile: float, seed: int, sample: int = 200_000
) -> Codebook:
    """Centroids and τ from `latents` [n, channels, h, w]; τ from features not used for k-means."""
    rng = np.random.default_rng(seed)
    cells = latents.shape[2] * latents.shape[3]
    take = rng.choice(len(latents), min(len(latents), max(2, 2 * sample // cells)), replace=False)
    features = torch.from_numpy(latents[np.sort(take)].astype(np.float32))
    features = features.permute(0, 2, 3, 1).flatten(0, 2)
    features = features[torch.from_numpy(rng.permutation(len(features)))]
    half = len(features) // 2
    codebook = Codebook(count, features.shape[1])
    codebook.centroids.copy_(k_means(features[:half], count, rounds=12, seed=seed))
    _, distance = nearest(features[half:], codebook.centroids)
    codebook.threshold.fill_(float(np.quantile(distance.numpy(), quantile)))
    return codebook


def save_codebook(codebook: Codebook, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(codebook.state_dict(), path)


def load_codebook(path: Path) -> Codebook:
    values = torch.load(path, weights_only=True)
    codebook = Codebook(*values["centroids"].shape)
    codebook.load_state_dict(values)
    return codebook

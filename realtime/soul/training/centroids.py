"""K-means, and stage `codebook` of soul-mini: centroids of latents, and τ measured on them.

Lloyd's algorithm goes block by block, so that features may lie on disk and a round may stop within:
each block's nearest centroids are one matrix product. The paper fixes its threshold; here τ is a
quantile of the nearest-centroid distances.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soul.model.codebook import Codebook

Features: TypeAlias = NDArray[np.floating[Any]]  # [n, d], in memory or on disk

ROWS = 8192  # of one product, at most
DISTANCES = 1 << 26  # in one product, at most: 256 MB


@dataclass(slots=True)
class Lloyd:
    """K-means between two blocks: the centroids, and what the round under way has gathered."""

    centroids: Tensor  # [k, d] float32
    sums: Tensor  # [k, d] float64, of each cluster's features
    sizes: Tensor  # [k]
    distances: Tensor  # [n], of each feature to its centroid
    done: int = 0  # features of this round


def nearest(features: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Index of and distance to the nearest centroid of each of `features` [n, d]."""
    rows = max(1, min(ROWS, DISTANCES // len(centroids)))
    found = [torch.cdist(part, centroids).min(-1) for part in features.split(rows)]
    return torch.cat([f.indices for f in found]), torch.cat([f.values for f in found])


def taken(features: Features, which: slice | NDArray[np.int64]) -> Tensor:
    """Some of `features`, as float32 of their own."""
    return torch.from_numpy(features[which].astype(np.float32))


def begin(features: Features, count: int, seed: int) -> Lloyd:
    """Random features as centroids, as faiss does; of fewer than `count`, all."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    centroids = taken(features, order[:count].numpy())
    return Lloyd(
        centroids,
        torch.zeros_like(centroids, dtype=torch.float64),
        torch.zeros(len(centroids), dtype=torch.int64),
        torch.zeros(len(features)),
    )


def gather(state: Lloyd, features: Features, block: int, device: str = "cpu") -> float:
    """The round's next `block` features go to their clusters; their mean distance.

    Products run on `device`; sums are made on the CPU, where their order is fixed.
    """
    part = taken(features, slice(state.done, state.done + block))
    found = nearest(part.to(device), state.centroids.to(device))
    index, distance = (values.cpu() for values in found)
    state.distances[state.done : state.done + len(part)] = distance
    state.sums += torch.zeros_like(state.centroids).index_add_(0, index, part)
    state.sizes += torch.bincount(index, minlength=len(state.sizes))
    state.done += len(part)
    return distance.mean().item()


def settle(state: Lloyd, features: Features) -> None:
    """The round's end: each centroid becomes its cluster's mean.

    An empty cluster starts again from the feature that is farthest from its centroid.
    """
    state.centroids = (state.sums / state.sizes.clamp_min(1).unsqueeze(-1)).float()
    empty = (state.sizes == 0).nonzero().flatten()
    state.centroids[empty] = taken(features, state.distances.topk(len(empty)).indices.numpy())
    state.sums.zero_()
    state.sizes.zero_()
    state.done = 0


def k_means(features: Tensor, count: int, rounds: int, seed: int) -> Tensor:
    """All at once: the centroids [count, d] of `features` [n, d] after `rounds`."""
    values = features.numpy()
    state = begin(values, count, seed)
    for _ in range(rounds):
        gather(state, values, len(values))
        settle(state, values)
    return state.centroids


def codebook_of(centroids: Tensor, held_out: Tensor, quantile: float) -> Codebook:
    """Centroids with τ: that quantile of the distances of `held_out` [n, d], which they never saw.

    The distances are measured where `held_out` is.
    """
    codebook = Codebook(*centroids.shape)
    codebook.centroids.copy_(centroids)
    _, distance = nearest(held_out, centroids.to(held_out.device))
    codebook.threshold.fill_(float(np.quantile(distance.cpu().numpy(), quantile)))
    return codebook


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
    centroids = k_means(features[:half], count, rounds=12, seed=seed)
    return codebook_of(centroids, features[half:], quantile)


def save_codebook(codebook: Codebook, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(codebook.state_dict(), path)


def load_codebook(path: Path) -> Codebook:
    values = torch.load(path, weights_only=True)
    codebook = Codebook(*values["centroids"].shape)
    codebook.load_state_dict(values)
    return codebook

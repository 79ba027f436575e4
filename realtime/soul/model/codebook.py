"""The threshold-aware codebook: strays are pulled back to the edge of what training has seen.

A feature is the 48-vector of one latent cell. Centroids and τ are stored side by side; τ is a
quantile of the nearest-centroid distances of the training latents. It is not quantisation.
"""

import torch
from torch import Tensor, nn

from soul.kernels.pullback import pullback


class Codebook(nn.Module):
    """`centroids` [k, channels] and `threshold` τ, a scalar; τ = ∞ leaves everything as it is."""

    centroids: Tensor
    threshold: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("centroids", torch.zeros(size, channels))
        self.register_buffer("threshold", torch.tensor(float("inf")))

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, ..., h, w] → (the same with strays pulled back, share of strays [B])."""
        features = latents.movedim(1, -1)
        pulled, distance = pullback(features.flatten(0, -2), self.centroids, self.threshold)
        strays = (distance > self.threshold).view(len(latents), -1).float().mean(-1)
        return pulled.view_as(features).movedim(-1, 1), strays


def with_threshold(codebook: Codebook, threshold: float) -> Codebook:
    """A copy with another τ: ∞ leaves every cell as it is, 0 replaces it by its centroid."""
    return _made(codebook.centroids, torch.tensor(threshold))


def extended(codebook: Codebook, latents: Tensor) -> Codebook:
    """A copy that also knows every cell of `latents` [n, channels, h, w]; τ stays.

    With a session's own portrait latents, what the portrait shows is never a stray.
    """
    cells = latents.permute(0, 2, 3, 1).flatten(0, 2).to(codebook.centroids)
    return _made(torch.cat((codebook.centroids, cells)), codebook.threshold)


def _made(centroids: Tensor, threshold: Tensor) -> Codebook:
    codebook = Codebook(*centroids.shape).to(centroids)
    codebook.centroids.copy_(centroids)
    codebook.threshold.copy_(threshold)
    return codebook

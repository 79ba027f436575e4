"""The tiny model that the room's tests share: every weight random, so that nothing is a no-op."""

import pytest
import torch
from torch import Tensor

from soul.model.config import SOUL_TEST
from soul.model.sample import Soul, build


def awaken(model: Soul, seed: int) -> Soul:
    """Parameters that start at zero get values; the codebook gets centroids and a τ that bites."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.1)
        shape = model.codebook.centroids.shape
        model.codebook.centroids.copy_(torch.randn(shape, generator=draw))
        model.codebook.threshold.fill_(6.0)
    return model.requires_grad_(False)


@pytest.fixture(scope="session")
def model() -> Soul:
    return awaken(build(SOUL_TEST, seed=1), seed=2)


@pytest.fixture(scope="session")
def portraits() -> Tensor:
    """[3, 3, H, W] in [-1, 1]."""
    size = SOUL_TEST.side
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(3)) * 2 - 1

"""What the stages of the DiT are tested with: a small model, and latents that are noise."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch

from soul.model.config import SOUL_TEST
from soul.model.cues import CUES
from soul.model.sample import Soul, build
from soul.training.diffusion import Latents


@pytest.fixture(scope="module")
def data() -> Latents:
    rng = np.random.default_rng(0)
    boxes = np.zeros((3, 6, 3, 4), np.float32)
    boxes[:, :, 0] = (1, 2, 3, 3)
    return Latents(
        rng.standard_normal((3, 2, 48, 4, 4)).astype(np.float16),
        rng.standard_normal((3, 6, 48, 4, 4)).astype(np.float16),
        rng.standard_normal((3, 2, 6, 13, 16)).astype(np.float16),
        rng.random((3, 6, 4, CUES), np.float32),
        boxes,
        ("calm", "glad", "sad"),
    )


@pytest.fixture(scope="module")
def model() -> Soul:
    return build(SOUL_TEST, 0)


@pytest.fixture
def blank(model: Soul) -> Soul:
    """A head of noughts: the flow is nought everywhere."""
    found = deepcopy(model)
    for parameter in found.dit.head.head.parameters():
        torch.nn.init.zeros_(parameter)
    return found


Dying = Callable[[Callable[..., None], int], Callable[..., None]]


@pytest.fixture
def dying() -> Dying:
    """`dying(step, n)` does as `step` n times; then the machine goes down (InterruptedError)."""

    def make(step: Callable[..., None], after: int) -> Callable[..., None]:
        calls = iter(range(1000))

        def until(*values: object) -> None:
            if next(calls) == after:
                raise InterruptedError
            step(*values)

        return until

    return make

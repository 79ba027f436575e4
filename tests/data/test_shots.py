"""Cuts are found where they are, and nowhere else."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from soul.data.config import ShotConfig
from soul.data.shots import find_shots
from soul.data.source import Span


def scene(seed: int, frames: int) -> Iterator[NDArray[np.uint8]]:
    """A coloured pattern that drifts to the side, as a camera that pans."""
    rng = np.random.default_rng(seed)
    patch = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    for number in range(frames):
        yield np.roll(patch, number // 2, axis=1)


def test_a_cut_is_found_to_the_frame() -> None:
    shown = [*scene(1, 40), *scene(2, 30), *scene(3, 50)]
    assert find_shots(shown, ShotConfig(), 0) == [Span(0, 40), Span(40, 30), Span(70, 50)]


def test_the_frames_beside_a_cut_belong_to_no_shot() -> None:
    shown = [*scene(1, 40), *scene(2, 30)]
    assert find_shots(shown, ShotConfig(), 2) == [Span(0, 38), Span(42, 28)]


def test_a_pan_is_one_shot_and_nothing_is_none() -> None:
    assert find_shots(scene(1, 60), ShotConfig(), 2) == [Span(0, 60)]
    assert find_shots([], ShotConfig(), 2) == []

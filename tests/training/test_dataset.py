"""A bank is the same wherever and however often it is drawn, and goes on clip by clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from soul.training.dataset import (
    ARRAYS,
    MICROPHONES,
    Bank,
    BankConfig,
    make_bank,
    open_bank,
    rng_of,
    shapes,
)
from soul.training.motion import COLUMN

TINY = BankConfig(clips=2, frames=8, size=64, seed=7)  # eSpeak speaks the second


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bank")
    make_bank(folder, TINY, processes=1)
    return folder


@pytest.fixture(scope="module")
def bank(folder: Path) -> Bank:
    return open_bank(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_microphones_hear_the_same_speech_differently(bank: Bank) -> None:
    for heard in bank.pcm.astype(np.float32):
        assert not any(np.array_equal(heard[0], other) for other in heard[1:])
    assert np.isfinite(bank.pcm).all()


def test_sizes_derive_from_the_config(bank: Bank) -> None:
    assert (TINY.latents, TINY.samples, TINY.flow_size) == (2, 5120, 8)
    assert shapes(TINY).keys() == ARRAYS.keys()
    assert bank.frames.shape == (2, 8, 64, 64, 3)
    assert bank.flow.shape == (2, 8, 8, 8, 2)
    assert bank.pcm.shape == (2, MICROPHONES, 5120)
    assert len(bank.prompts) == 2
    assert BankConfig().flow_size == 32


@pytest.mark.parametrize("change", [{"frames": 10}, {"size": 100}])
def test_sizes_that_do_not_divide_are_refused(change: dict[str, int]) -> None:
    config = replace(TINY, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is not a multiple of"):
        config.latents * config.flow_size


def test_pictures_and_truth_belong_together(bank: Bank) -> None:
    assert bank.frames.std() > 10
    assert not np.array_equal(bank.portraits[0], bank.portraits[1])
    assert (bank.motion[..., COLUMN["mouth_open"]] >= 0).all()
    assert bank.motion.any()
    low, high = bank.boxes[..., :2], bank.boxes[..., 2:]
    assert (low < high).all()
    assert ((low > -8) & (high < 72)).all()
    mouth, left, right = bank.boxes[0, 0]
    assert mouth[1] > max(left[1], right[1])  # below the eyes


def test_clips_are_drawn_apart() -> None:
    first, second = rng_of(TINY, 0).random(3), rng_of(TINY, 1).random(3)
    held_out = rng_of(replace(TINY, split="held_out"), 0).random(3)
    assert len({tuple(row) for row in (first, second, held_out)}) == 3
    assert np.array_equal(rng_of(TINY, 0).random(3), first)


def test_a_clip_that_was_lost_is_drawn_again_the_same(folder: Path) -> None:
    """Determinism and resumption at once; the clip that is done is not touched."""
    whole = contents(folder)
    for name in ARRAYS:
        values = np.load(folder / f"{name}.npy", mmap_mode="r+")
        values[1] = 0
        values.flush()
    (folder / "done" / "1.json").unlink()
    untouched = (folder / "done" / "0.json").stat().st_mtime_ns
    make_bank(folder, TINY, processes=1)
    assert contents(folder) == whole
    assert (folder / "done" / "0.json").stat().st_mtime_ns == untouched


def test_a_finished_bank_is_only_opened(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    make_bank(folder, TINY, processes=1)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_another_bank_in_the_folder_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=r'"seed": 7.*expected.*"seed": 8'):
        make_bank(folder, replace(TINY, seed=8), processes=1)

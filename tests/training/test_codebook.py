"""A codebook from clips on disk: what is drawn, that a stop costs nothing, and what τ means."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soul.training import codebook as stage
from soul.training.centroids import Lloyd, gather, k_means
from soul.training.codebook import (
    FITTED,
    HELD_OUT,
    CodebookConfig,
    drawn_cells,
    fit_codebook,
    shares,
    split,
)

TINY = CodebookConfig(
    centroids=12, each=20, held_out=60, a_clip=50, rounds=4, block=64, save_every=1, quantile=0.9
)


class Killed(Exception):
    """The machine went down."""


@pytest.fixture(scope="module")
def clips() -> list[NDArray[np.float16]]:
    """Nine clips of unlike sizes; each cell occurs once."""
    rng = np.random.default_rng(0)
    shapes = [(6, 2 + n % 3, 4, 3 + n % 2) for n in range(9)]
    return [rng.standard_normal(shape).astype(np.float16) for shape in shapes]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.floats(0, 1))
def test_a_share_is_exact_and_nobody_gives_more_than_there_is(
    sizes: list[int], share: float
) -> None:
    count = int(share * sum(sizes))
    found = split(sizes, count)
    assert sum(found) == count
    assert all(0 <= part <= size for part, size in zip(found, sizes, strict=True))


def test_cells_are_drawn_once_and_not_held_out_as_well(
    clips: list[NDArray[np.float16]], tmp_path: Path
) -> None:
    fitted, held = drawn_cells(clips, TINY, tmp_path, 0)
    assert fitted.shape == (12 * 20, 6)
    assert held.shape == (60, 6)
    both = {row.tobytes() for row in np.concatenate((fitted, held))}
    assert len(both) == 300
    cells = {row.tobytes() for clip in clips for row in clip.reshape(6, -1).T.copy()}
    assert both <= cells
    again, _ = drawn_cells([], TINY, tmp_path, 0)  # read, not drawn
    assert np.array_equal(again, fitted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells", FITTED, HELD_OUT]


def test_all_cells_are_taken_if_there_are_few(clips: list[NDArray[np.float16]]) -> None:
    total = sum(clip[0].size for clip in clips)
    many = replace(TINY, each=1000, a_clip=1)
    assert sum(share.cells for share in shares(clips, many)) == total
    assert sum(share.held_out for share in shares(clips, many)) == 60


def test_of_many_clips_as_many_are_read_as_are_needed(clips: list[NDArray[np.float16]]) -> None:
    found = shares(clips * 100, replace(TINY, each=4, held_out=12, a_clip=15))
    assert [share.clip for share in found] == [0, 299, 599, 899]
    assert sum(share.cells for share in found) == 60


def test_too_few_cells_are_told(clips: list[NDArray[np.float16]]) -> None:
    with pytest.raises(ValueError, match="1 clips have 24 cells, and 12 of them are held out"):
        shares(clips[:1], replace(TINY, centroids=13))


@pytest.mark.parametrize("block", [64, 1000])
def test_blocks_come_to_what_all_at_once_does(
    clips: list[NDArray[np.float16]], tmp_path: Path, block: int
) -> None:
    found = fit_codebook(clips, replace(TINY, block=block), tmp_path, 3)
    fitted = torch.from_numpy(np.load(tmp_path / FITTED).astype(np.float32))
    torch.testing.assert_close(found.centroids, k_means(fitted, 12, 4, seed=3))
    assert (tmp_path / "curves.json").exists()
    assert (tmp_path / "curves.png").exists()


def test_tau_is_the_quantile_of_cells_that_were_held_out(
    clips: list[NDArray[np.float16]], tmp_path: Path
) -> None:
    found = fit_codebook(clips, TINY, tmp_path, 0)
    held = torch.from_numpy(np.load(tmp_path / HELD_OUT).astype(np.float32))
    _, strays = found(held.T.reshape(1, 6, 6, 10))
    assert float(strays) == pytest.approx(0.1, abs=1 / 60)


@pytest.mark.parametrize("dies_at", [1, 4, 9, 15])
def test_stopped_and_resumed_is_the_same_as_never_stopped(
    clips: list[NDArray[np.float16]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_at: int,
) -> None:
    """After any block: at the rounds' ends and within them. Four blocks a round."""
    whole = fit_codebook(clips, TINY, tmp_path / "whole", 0)
    calls = iter(range(100))

    def dying(state: Lloyd, features: NDArray[np.float16], block: int, device: str) -> float:
        if next(calls) == dies_at:
            raise Killed
        return gather(state, features, block, device)

    monkeypatch.setattr(stage, "gather", dying)
    with pytest.raises(Killed):
        fit_codebook(clips, TINY, tmp_path / "b", 0)
    found = fit_codebook(clips, TINY, tmp_path / "b", 0)
    assert torch.equal(found.centroids, whole.centroids)
    assert torch.equal(found.threshold, whole.threshold)
    left = 16 - dies_at
    assert next(calls) == dies_at + 1 + left  # no block was gathered twice


def test_more_rounds_go_on_and_other_settings_do_not(
    clips: list[NDArray[np.float16]], tmp_path: Path
) -> None:
    whole = fit_codebook(clips, TINY, tmp_path / "whole", 0)
    fit_codebook(clips, replace(TINY, rounds=1), tmp_path / "b", 0)
    more = fit_codebook(clips, TINY, tmp_path / "b", 0)
    assert torch.equal(more.centroids, whole.centroids)
    with pytest.raises(ValueError, match=r"config\.centroids 12, this one has 11"):
        fit_codebook(clips, replace(TINY, centroids=11), tmp_path / "b", 0)
    with pytest.raises(ValueError, match="seed 0, this one has 1"):
        fit_codebook(clips, TINY, tmp_path / "b", 1)


def test_a_clip_that_breaks_off_leaves_no_half_file(
    clips: list[NDArray[np.float16]], tmp_path: Path
) -> None:
    class Broken(list[NDArray[np.float16]]):
        def __getitem__(self, which: int) -> NDArray[np.float16]:  # type: ignore[override]
            if which == 3 and reads.pop():
                raise OSError(5, "Input/output error")
            return super().__getitem__(which)

    reads = [True, False, False]  # its size can be read, its cells cannot
    with pytest.raises(OSError, match="Input/output"):
        drawn_cells(Broken(clips), TINY, tmp_path, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rounds": 0}, "rounds is 0, expected at least 1"),
        ({"quantile": 1.5}, "quantile is 1.5, expected above 0 and at most 1"),
    ],
)
def test_settings_that_cannot_be_are_told(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(TINY, **changes)  # type: ignore[arg-type]

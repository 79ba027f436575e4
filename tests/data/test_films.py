"""Clips as the VAE wants them: from shards, from videos, cut, cropped, and told if broken."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from made_videos import write_video
from soul.data.errors import SourceError, StopError
from soul.data.films import FilmConfig, clips, cropped, cut, find_sources
from soul.data.shards import pack

TINY = FilmConfig(side=64, shortest=5, longest=9)


def film(path: Path, frames: int, height: int = 64, width: int = 96) -> Path:
    """Each picture is grey by its number."""
    grey = (np.full((height, width, 3), 40 + 6 * k, np.uint8) for k in range(frames))
    return write_video(path, grey)


def numbers(pictures: NDArray[np.uint8]) -> list[int]:
    """Which of `film`'s pictures these are."""
    return [round((float(picture.mean()) - 40) / 6) for picture in pictures]


def test_a_video_is_cut_without_a_gap_and_its_rest_dropped(tmp_path: Path) -> None:
    found = list(cut(film(tmp_path / "a.mkv", 25), TINY))
    assert [numbers(pictures) for pictures in found] == [
        list(range(9)),
        list(range(9, 18)),
        list(range(18, 23)),  # 5 of the 7 that are left
    ]
    assert found[0].shape == (9, 64, 96, 3)
    assert list(cut(film(tmp_path / "b.mkv", 4), TINY)) == []


def test_clips_of_a_shard_come_by_their_names(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    for name, frames in (("one", 11), ("two", 3), ("three", 6)):
        film(staged / f"{name}.mp4", frames)
        (staged / f"{name}.json").write_text("{}")
    (tmp_path / "shards").mkdir()
    pack(("one", "two", "three"), staged, tmp_path / "shards" / "000000.tar")
    film(tmp_path / "other.mp4", 9)  # shards come first
    assert find_sources(tmp_path, tmp_path / "out") == ["shards/000000.tar"]
    found = dict(clips(tmp_path, "shards/000000.tar", TINY))
    assert {name: len(pictures) for name, pictures in found.items()} == {"one": 9, "three": 5}
    assert numbers(found["one"]) == list(range(9))


def test_videos_are_found_where_there_are_no_shards(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    film(tmp_path / "deep" / "a.mkv", 18)
    assert find_sources(tmp_path, tmp_path / "out") == ["deep/a.mkv"]
    found = list(clips(tmp_path, "deep/a.mkv", TINY))
    assert [name for name, _ in found] == ["0000", "0001"]
    with pytest.raises(StopError, match="holds no video"):
        find_sources(tmp_path, tmp_path / "deep")
    with pytest.raises(StopError, match="is not a folder"):
        find_sources(tmp_path / "none", tmp_path)


def test_sides_are_made_smaller_and_then_cropped_in_the_middle(tmp_path: Path) -> None:
    found = next(cut(film(tmp_path / "a.mkv", 5, 128, 200), TINY))
    assert found.shape == (5, 64, 96, 3)  # 64 x 100, and 96 of these
    numbered = np.stack([np.tile(np.arange(70, dtype=np.uint8), (33, 1))] * 3, -1)
    assert cropped(numbered, 32)[0, :, 0].tolist() == list(range(3, 67))
    with pytest.raises(SourceError, match="20 x 40 pixels are too small"):
        cropped(np.zeros((40, 20, 3), np.uint8), 32)


def test_what_is_broken_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar" * 400)
    with pytest.raises(SourceError, match=r"'a\.tar' is no whole shard"):
        list(clips(tmp_path, "a.tar", TINY))
    (tmp_path / "b.mp4").write_text("no video")
    with pytest.raises(SourceError, match=r"'b\.mp4' cannot be read as a video"):
        list(clips(tmp_path, "b.mp4", TINY))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"side": 16}, "side is 16 pixels, expected at least 32"),
        ({"longest": 108}, "longest is 108 frames, expected 1, 5, 9"),
        ({"shortest": 113}, "shortest 113 is above longest 109"),
    ],
)
def test_settings_that_cannot_be_are_told(changes: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FilmConfig(**changes)

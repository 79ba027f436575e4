"""Reading a video: pictures at 25/s and sound on one axis, whatever the file is like."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from made_videos import write_video
from soul.data.errors import SourceError
from soul.data.source import Source, Span, fitted, pictures, probe, sound, thumbnails


def grey(value: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def levels(shown: NDArray[np.uint8]) -> list[int]:
    """The mean of each picture, rounded to the tens in which they were made."""
    return [round(float(picture.mean()) / 10) for picture in shown]


def test_a_video_is_told_as_it_is_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [grey(9)] * 30, np.zeros(16_000, np.float32), fps=30)
    assert probe(path) == Source(64, 48, 1.0, 30.0, sound=True)
    assert probe(write_video(tmp_path / "b.mp4", [grey(9)] * 25)).sound is False


def test_every_picture_is_shown_when_it_is_due(tmp_path: Path) -> None:
    made = [grey(10 * (number % 25)) for number in range(50)]
    path = write_video(tmp_path / "a.mkv", made)
    assert levels(pictures(path, Span(0, 50), 48)) == [number % 25 for number in range(50)]
    assert levels(pictures(path, Span(31, 5), 48)) == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("fps", [10, 50])
def test_other_rates_are_brought_to_25(tmp_path: Path, fps: int) -> None:
    path = write_video(tmp_path / "a.mkv", [grey(10 * number) for number in range(20)], fps=fps)
    frames = 20 * 25 // fps
    middles = [(frame + 0.5) / 25 for frame in range(frames)]
    expected = [int(middle * fps) for middle in middles]
    assert levels(np.stack(list(thumbnails(path, 48)))) == expected


def test_pictures_are_made_small_and_upright(tmp_path: Path) -> None:
    half = grey(0, 64, 128)
    half[:, 64:] = 250  # the right half is bright
    path = write_video(tmp_path / "a.mp4", [half] * 3, turned=90)
    shown = pictures(path, Span(0, 3), 32)
    assert shown.shape == (3, 64, 32, 3)
    assert probe(path).width == 64
    top, bottom = shown[1, :24].mean(), shown[1, 40:].mean()
    assert top > 200 > 50 > bottom  # turned counterclockwise, right is up


def test_a_beep_is_heard_when_its_picture_is_seen(tmp_path: Path) -> None:
    voice = np.zeros(32_000, np.float32)
    voice[16_000:16_640] = 0.5
    path = write_video(tmp_path / "a.mkv", [grey(9)] * 50, voice)
    heard = sound(path, Span(20, 10))
    assert heard is not None
    assert heard.shape == (6_400,)
    loud = np.flatnonzero(np.abs(heard) > 0.25)
    assert (loud[0], loud[-1]) == (3_200, 3_839)


def test_what_is_not_there_is_silent(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [grey(9)] * 50, np.full(16_000, 0.5, np.float32))
    heard = sound(path, Span(20, 10))
    assert heard is not None
    assert np.all(heard[3_200:] == 0)
    assert sound(write_video(tmp_path / "b.mkv", [grey(9)] * 5), Span(0, 5)) is None


def test_sizes_keep_their_shape_and_are_even() -> None:
    assert fitted(1920, 1080, 480) == (854, 480)
    assert fitted(1080, 1920, 480) == (480, 854)
    assert fitted(101, 99, 480) == (100, 100)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.mp4", b"not a video at all", "cannot be read as a video"),
        ("empty.mp4", b"", "is empty"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"'{name}' {words}"):
        probe(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'gone.mp4' cannot be read"):
        probe(tmp_path / "gone.mp4")


def test_a_video_that_ends_too_early_breaks_off(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [grey(9)] * 10)
    with pytest.raises(SourceError, match="breaks off after 5 of the 10 frames"):
        pictures(path, Span(5, 10), 48)

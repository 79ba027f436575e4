"""Telling moments of known curves, and strips that show them."""

from pathlib import Path

import numpy as np
from PIL import Image

from soul.training.strips import LENGTH, Moment, middle_of_longest, moments, strip_at, write_strip

FRAMES = 100


def numbered(start: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Pictures whose every pixel is their number, counted from `start`."""
    values = (start + np.arange(FRAMES)).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (FRAMES, 256, 256, 3)).copy()


def test_moments_are_those_that_tell_most() -> None:
    opening = np.full(FRAMES, 0.1, np.float32)
    opening[30:50] = 0.6
    opening[40] = 0.0  # between open sounds
    opening[12] = 0.0  # between nearly closed ones
    opening[47] = 0.9
    silent = np.zeros(FRAMES, np.bool_)
    silent[60:64] = silent[70:81] = True
    told = np.ones(FRAMES, np.float32)
    told[88:91] = 0.0
    found = moments(opening, np.array([1, 12, 40, 99]), silent, told)
    assert found == [
        Moment("open", 47),
        Moment("closure", 40),
        Moment("silence", 75),
        Moment("blink", 89),
    ]


def test_a_take_without_anything_has_no_moments() -> None:
    none = np.zeros(0, np.int64)
    empty = np.zeros(FRAMES, np.float32)
    assert moments(empty, none, empty > 1, empty + 1) == []


def test_the_middle_of_the_longest_run() -> None:
    assert middle_of_longest(np.array([True, False, True, True, True])) == 3
    assert middle_of_longest(np.array([True])) == 0


def test_a_strip_shows_both_at_the_same_frames_and_stays_inside() -> None:
    strip = strip_at(Moment("open", 50), numbered(0), numbered(100))
    assert (strip.first, strip.seconds) == (47, (47 / 25, 54 / 25))
    assert strip.model[:, 0, 0, 0].tolist() == list(range(47, 54))
    assert strip.renders[:, 0, 0, 0].tolist() == list(range(147, 154))
    assert strip_at(Moment("open", 99), numbered(0), numbered(0)).first == FRAMES - LENGTH
    assert strip_at(Moment("open", 0), numbered(0), numbered(0)).first == 0


def test_a_strip_becomes_one_picture(tmp_path: Path) -> None:
    strip = strip_at(Moment("open", 50), numbered(0), numbered(100))
    write_strip(strip, tmp_path / "strip.png")
    picture = np.asarray(Image.open(tmp_path / "strip.png"))
    height, width = strip.model.shape[1:3]
    assert picture.shape == (2 * height + 3, LENGTH * (width + 3) - 3, 4)
    assert picture[5, 5].tolist() == [47, 47, 47, 255]
    assert picture[-5, -5].tolist() == [153, 153, 153, 255]
    assert picture[height + 1, 5, 3] == 0

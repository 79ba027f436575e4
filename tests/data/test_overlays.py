"""Writing and borders over a picture are seen; a picture without them is clean."""

import cv2
import numpy as np
import pytest

from soul.data.config import OverlayConfig
from soul.data.overlays import Overlay, Reader, Writing, bars, look_over, objection, reader
from soul.data.source import Pictures

CONFIG = OverlayConfig()
WORDS = "and then she said hello"


def room(frames: int = 6) -> Pictures:
    """A wall with soft light, and a little of a camera's noise."""
    light = np.linspace(90, 160, 320)[None, :, None] * np.ones((240, 1, 3))
    noise = np.random.default_rng(0).normal(0, 3, (frames, 240, 320, 3))
    return np.clip(light + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def read() -> Reader:
    return reader()


def test_a_subtitle_is_read_and_objected_to(read: Reader) -> None:
    clip = room()
    for picture in clip[3:]:  # it comes late
        cv2.putText(
            picture, WORDS, (20, 225), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255,) * 3, 2, cv2.LINE_AA
        )
    seen = look_over(clip, read, CONFIG)
    assert seen.text.replace(" ", "").lower() == WORDS.replace(" ", "")
    assert 0.03 < seen.area < 0.2
    assert objection(seen, CONFIG) is not None


def test_a_bare_wall_is_clean(read: Reader) -> None:
    seen = look_over(room(3), read, CONFIG)
    assert seen == Overlay(0.0, "", 0.0)
    assert objection(seen, CONFIG) is None


def test_noise_taken_for_letters_does_not_count() -> None:
    lines = [Writing("hm", 0.99, 0.5), Writing("perhaps", 0.5, 0.5), Writing("--- .", 0.99, 0.5)]
    assert look_over(room(3), lambda picture: lines, CONFIG).area == 0.0


def test_the_worst_look_counts() -> None:
    areas = iter((0.0, 0.3, 0.1))
    seen = look_over(room(3), lambda picture: [Writing("NEWS", 0.9, next(areas))], CONFIG)
    assert (seen.area, seen.text) == (0.3, "NEWS")
    assert objection(seen, CONFIG) == (
        "writing over 30.00% of the picture ('NEWS'); expected at most 0.20%"
    )


def test_black_borders_are_measured_on_both_sides() -> None:
    clip = room()
    assert bars(clip) == 0.0
    clip[:, :24] = clip[:, -24:] = 2
    assert bars(clip) == pytest.approx(0.2)
    assert objection(Overlay(0.0, "", bars(clip)), CONFIG) == (
        "black borders of 20.0%; expected at most 2.0%"
    )
    one_sided = room()
    one_sided[:, :24] = 2  # a dark ceiling
    assert bars(one_sided) == 0.0
    assert bars(np.zeros((2, 40, 40, 3), np.uint8)) == 0.0

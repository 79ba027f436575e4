"""Faces are found and followed; objections name what was seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from soul.data import faces
from soul.data.config import FaceConfig
from soul.data.errors import PluginError, StopError
from soul.data.faces import Face, Track, cascade, detector, follow, objection
from soul.training.world import Artist, draw_identity

CONFIG = FaceConfig()
DARK, FAIR = 2, 3  # seeds of drawn people; without evened contrast the cascade misses the first


@pytest.mark.parametrize("seed", [DARK, FAIR])
def test_a_drawn_face_is_found_where_it_is(seed: int) -> None:
    picture = Artist(draw_identity(np.random.default_rng(seed)), 240).portrait()
    found = cascade()(picture)
    assert len(found) == 1
    assert 100 < found[0].height < 170
    assert abs(found[0].x + found[0].width / 2 - 120) < 15


def test_nobody_is_found_in_an_empty_room() -> None:
    assert list(cascade()(np.full((240, 320, 3), 120, np.uint8))) == []


def scripted(*answers: list[Face]) -> faces.Detector:
    """A detector whose answer stands in the picture's first pixel."""
    return lambda picture: answers[int(picture[0, 0, 0])]


def clip(*numbers: int) -> NDArray[np.uint8]:
    return np.array(numbers, np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)


def test_the_largest_face_is_followed_along_straight_lines() -> None:
    look = scripted(
        [Face(0, 0, 40, 40), Face(200, 0, 10, 10)], [Face(10, 0, 40, 60)], [Face(20, 0, 40, 60)]
    )
    track = follow(clip(0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2), look, CONFIG)
    assert track.boxes.shape == (11, 4)
    assert track.boxes[:, 0].tolist() == pytest.approx(range(0, 22, 2))
    assert track.height == 60
    assert (track.share, track.others) == (1.0, 0.0)
    assert track.opening is None


def test_one_wrong_look_does_not_count() -> None:
    steady, wrong = [Face(10, 10, 40, 40)], [Face(300, 200, 90, 90)]
    track = follow(clip(0, 1, 0, 0, 0), scripted(steady, wrong), replace(CONFIG, every=1))
    assert track.boxes[:, 0].tolist() == [10] * 5


def test_looks_without_a_face_and_with_a_second_one_are_counted() -> None:
    look = scripted([], [Face(0, 0, 40, 40)], [Face(0, 0, 40, 40), Face(99, 0, 30, 30)])
    track = follow(clip(0, 1, 2, 1), look, replace(CONFIG, every=1))
    assert (track.share, track.others) == (0.75, 0.25)
    nobody = follow(clip(0, 0), look, CONFIG)
    assert (nobody.share, nobody.height, len(nobody.boxes)) == (0.0, 0.0, 0)


def test_a_detector_that_knows_the_mouth_looks_at_every_frame() -> None:
    look = scripted(*([Face(0, 0, 40, 40, opening=number / 10)] for number in range(7)), [])
    track = follow(clip(0, 1, 2, 7, 4, 5, 6), look, CONFIG)
    assert track.opening is not None
    assert track.opening.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_objections_name_the_value_and_what_was_expected() -> None:
    good = Track(np.tile([0.0, 0.0, 40.0, 40.0], (5, 1)), 1.0, 0.0, None)
    assert objection(good, 2.0, CONFIG) is None
    assert objection(good, 1.0, CONFIG) == "a face 40 pixels high; expected at least 64"
    assert (
        objection(replace(good, share=0.5), 2.0, CONFIG)
        == "a face in 50% of the looks; expected at least 80%"
    )
    assert (
        objection(replace(good, others=0.2), 2.0, CONFIG)
        == "a second face in 20% of the looks; expected at most 10%"
    )


def test_a_detector_is_what_its_name_says(tmp_path: Path) -> None:
    with pytest.raises(StopError, match=r"gone.onnx' cannot be read as YuNet's weights"):
        detector(str(tmp_path / "gone.onnx"))
    with pytest.raises(PluginError, match=r"'gc:collect' gave [0-9]+; expected a callable"):
        detector("gc:collect")
    assert list(detector("soul.data.faces:cascade")(np.zeros((64, 64, 3), np.uint8))) == []

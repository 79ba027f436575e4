"""Errors of a probe are measured as they are, and what is known of a person is taken off."""

from dataclasses import replace

import numpy as np
import pytest

from soul.training.motion import COLUMN, neutral
from soul.training.probe import SIZE, Frames, Probe, Readings, readings_of
from soul.training.sight import CHANNELS, Error, error_of, eye_for, misread, sight_of


class Biased(Probe):
    """Sees everybody at rest, but smiling, with lids half shut and the mouth a little open."""

    def read(self, frames: Frames) -> Readings:
        rest = readings_of(neutral(len(frames)))
        return replace(
            rest, smile=rest.smile + 0.3, eye_open=rest.eye_open - 0.5, mouth_open=rest.smile + 0.1
        )


def test_what_is_misread_of_a_portrait_is_taken_off() -> None:
    frames = np.zeros((5, SIZE, SIZE, 3), np.uint8)
    read = eye_for(Biased(), frames[0]).read(frames)
    assert read.smile == pytest.approx(np.zeros(5), abs=1e-6)
    assert read.eye_open == pytest.approx(np.ones(5), abs=1e-6)
    assert read.mouth_open == pytest.approx(np.full(5, 0.1))  # its threshold is the probe's own


def test_a_known_error_is_found() -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for person in range(40):
        true = {"eye_open": np.ones(200), "yaw": rng.uniform(-1, 1, 200)}
        lasting = 0.2 if person % 2 else -0.2
        told = 0.1 + 0.7 * true["yaw"] + lasting + 0.05 * rng.standard_normal(200)
        pairs.append(({"yaw": told}, true))
    found = error_of("yaw", pairs)
    assert (found.slope, found.offset) == pytest.approx((0.7, 0.1), abs=0.02)
    assert (found.lasting, found.passing) == pytest.approx((0.2, 0.05), abs=0.01)


def test_a_gaze_behind_closed_lids_does_not_count() -> None:
    lids = np.tile([1.0, 0.0], 50)
    gaze = np.linspace(-1, 1, 100)
    pairs = [({"gaze_x": np.where(lids > 0, gaze, 9.0)}, {"gaze_x": gaze, "eye_open": lids})]
    found = error_of("gaze_x", pairs)
    assert (found.slope, found.passing) == pytest.approx((1.0, 0.0), abs=1e-6)


def test_a_curve_is_misread_as_it_was_measured() -> None:
    rng, curve = np.random.default_rng(1), np.linspace(-1, 1, 500).astype(np.float32)
    assert np.array_equal(misread(rng, {"yaw": curve}, {"yaw": Error()})["yaw"], curve)
    error = {"yaw": Error(0.5, 0.1, 0.0, 0.2)}
    told = misread(rng, {"yaw": curve}, error)["yaw"]
    rest = told - 0.5 * curve - 0.1
    assert rest.std() == pytest.approx(0.2, abs=0.05)
    assert np.abs(np.diff(rest)).mean() < 0.12  # most of it changes slowly


def test_a_probe_is_measured_on_renders() -> None:
    sight = sight_of(Probe().eval(), np.random.default_rng(2), 1)
    assert sight.keys() == set(CHANNELS) == {*sight}
    assert all(np.isfinite([one.slope, one.lasting, one.passing]).all() for one in sight.values())
    assert set(CHANNELS) - COLUMN.keys() == {"eye_open", "brows"}

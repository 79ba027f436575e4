"""The probe learns, reads whole frames, and survives its file."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from soul.training.motion import COLUMN, neutral
from soul.training.probe import (
    READ,
    SHIPPED,
    Probe,
    ProbeError,
    ProbeRecipe,
    draw_examples,
    held_out_correlations,
    load_probe,
    readings_of,
    reduced,
    train_probe,
    truth_of,
)

TINY = ProbeRecipe(faces=2, frames_a_face=6, batch=4, faces_held_out=1)


def test_examples_carry_their_truth() -> None:
    faces, truth = draw_examples(np.random.default_rng(0), TINY, "train")
    assert faces.shape == (12, 192, 160, 3)
    assert truth.shape == (12, len(READ))
    assert truth.min() >= -1
    assert truth.max() <= 1
    assert truth[:, READ.index("mouth_open")].min() >= 0


def test_the_truth_of_a_motion_is_read_by_name() -> None:
    motion = neutral(2)
    motion[1, COLUMN["brow_left"]], motion[1, COLUMN["brow_right"]] = 0.25, 0.75
    motion[1, COLUMN["eye_left"]] = 0.0
    motion[1, COLUMN["yaw"]], motion[1, COLUMN["mouth_wide"]] = -0.5, -1.0
    read = readings_of(motion)
    assert read.eye_open.tolist() == [1.0, 0.5]
    assert read.brows.tolist() == [0.0, 0.5]
    assert (read.yaw[1], read.mouth_wide[1], read.roll[1]) == (-0.5, -1.0, 0.0)
    assert truth_of(motion)[1].tolist() == [getattr(read, name)[1] for name in READ]


def test_training_lowers_the_loss_and_the_file_keeps_the_probe(tmp_path: Path) -> None:
    losses: list[float] = []
    probe = train_probe(0, 30, TINY, on_step=lambda _, loss: losses.append(loss))
    assert np.mean(losses[-8:]) < np.mean(losses[:8])
    probe.save(tmp_path / "probe.safetensors")
    frames = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), np.uint8)
    first, second = probe.read(frames), load_probe(tmp_path / "probe.safetensors").read(frames)
    assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in READ)
    assert first.eye_open.shape == (3,)
    assert held_out_correlations(probe, 0, TINY).keys() == set(READ)


def test_the_shipped_probe_reads_people_it_never_saw() -> None:
    recipe = ProbeRecipe(faces_held_out=4, frames_a_face=24)
    found = held_out_correlations(load_probe(SHIPPED), 5, recipe)
    assert found["mouth_open"] > 0.97
    assert found["eye_open"] > 0.9  # its rest depends on the mood
    weak = ("gaze_y", "pitch")  # in takes they hardly move, by less than the probe errs
    assert min(value for name, value in found.items() if name not in weak) > 0.8
    assert min(found[name] for name in weak) > 0.2


def test_readings_stay_in_their_ranges() -> None:
    probe = Probe().eval()
    for reader in (probe.mouth, probe.eyes, probe.head):
        for weights in reader.tell[-1].parameters():
            nn.init.constant_(weights, -9.0 if weights.ndim == 1 else 0.0)
    read = probe.read(np.zeros((1, 256, 256, 3), np.uint8))
    assert (read.mouth_open[0], read.eye_open[0]) == (0.0, 0.0)
    assert (read.mouth_wide[0], read.gaze_y[0], read.roll[0]) == (-1.0, -1.0, -1.0)


def test_larger_frames_are_read_at_the_probes_size() -> None:
    probe = Probe().eval()
    frames = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    small, large = probe.read(frames), probe.read(frames.repeat(2, 1).repeat(2, 2))
    assert all(np.array_equal(getattr(small, name), getattr(large, name)) for name in READ)


def test_a_reduced_picture_is_the_mean_of_its_areas() -> None:
    frames = np.zeros((70, 4, 4, 3), np.uint8)
    frames[69, :2, :2] = np.array((0, 100, 100, 200), np.uint8).reshape(2, 2, 1)
    made = reduced(frames, 2)
    assert made.shape == (70, 2, 2, 3)
    assert made[69, 0, 0].tolist() == [100] * 3
    assert made.sum() == 300
    assert reduced(made, 2) is made
    assert reduced(frames[:0], 2).shape == (0, 2, 2, 3)


@pytest.mark.parametrize("shape", [(2, 1, 1, 3), (2, 4, 5, 3), (2, 4, 4, 4), (4, 4, 3)])
def test_what_cannot_be_reduced_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \[T, 2, 2, 3\] or larger squares"):
        reduced(np.zeros(shape, np.uint8), 2)


def test_wrong_frames_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected \\[T, 256, 256, 3\\]"):
        Probe().read(np.zeros((2, 128, 128, 3), np.uint8))
    with pytest.raises(ProbeError, match="expected the weights of a probe"):
        load_probe(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ProbeError, match="expected the weights of a probe"):
        load_probe(tmp_path / "text.safetensors")

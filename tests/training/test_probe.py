"""The probe learns, reads whole frames, and survives its file."""

from pathlib import Path

import numpy as np
import pytest

from soul.training.motion import neutral
from soul.training.probe import (
    Probe,
    ProbeError,
    ProbeRecipe,
    draw_examples,
    load_probe,
    train_probe,
    truth_of,
)

TINY = ProbeRecipe(faces=2, frames_a_face=6, batch=4)


def test_examples_carry_their_truth() -> None:
    faces, truth = draw_examples(np.random.default_rng(0), TINY, "train")
    assert faces.shape == (12, 160, 160, 3)
    assert truth.shape == (12, 2)
    assert truth.min() >= 0
    assert truth.max() <= 1
    assert truth_of(neutral(2)).tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_training_lowers_the_loss_and_the_file_keeps_the_probe(tmp_path: Path) -> None:
    losses: list[float] = []
    probe = train_probe(0, 30, TINY, on_step=lambda _, loss: losses.append(loss))
    assert np.mean(losses[-8:]) < np.mean(losses[:8])
    probe.save(tmp_path / "probe.safetensors")
    frames = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), np.uint8)
    first, second = probe.read(frames), load_probe(tmp_path / "probe.safetensors").read(frames)
    assert np.array_equal(first.mouth_open, second.mouth_open)
    assert first.eye_open.shape == (3,)


def test_wrong_frames_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected \\[T, 256, 256, 3\\]"):
        Probe().read(np.zeros((2, 128, 128, 3), np.uint8))
    with pytest.raises(ProbeError, match="expected the weights of a probe"):
        load_probe(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(ProbeError, match="expected the weights of a probe"):
        load_probe(tmp_path / "text.safetensors")

"""The shipped weights on faces, voices and sentences that training never saw.

The bars are the project's own: correlation of the mouth's opening at least 0.6 within one frame of
lag, and a mouth that is closed in at least 95 % of silent frames. A probe reads the pictures.
"""

from pathlib import Path

import pytest
import torch

from soul.model.load import load
from soul.training.evaluate import TrialConfig, evaluate
from soul.training.probe import SHIPPED, load_probe

pytestmark = pytest.mark.e2e


def test_lips_follow_held_out_voices(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    figures = evaluate(load(), load_probe(SHIPPED), TrialConfig(trials=4, chunks=40), tmp_path)
    correlation, closed = figures["mouth_correlation"], figures["closed_in_silence"]
    lag = figures["mouth_lag_frames"]
    assert isinstance(correlation, float)
    assert isinstance(closed, float)
    assert isinstance(lag, float)
    assert correlation >= 0.6
    assert abs(lag) <= 1
    assert closed >= 0.95
    assert (tmp_path / "trials.png").exists()

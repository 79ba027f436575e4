"""How much larger cues are told: from how much is painted of what was told, and only of that."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor

from soul.model.cues import CHANNELS
from soul.model.sample import Soul
from soul.training import calibrate
from soul.training.calibrate import LARGEST, calibrated, fitted, gains, moved, quick, readings
from soul.training.diffusion import Latents

YAW, LIDS, LISTENING, BREATH = (
    CHANNELS.index(name) for name in ("yaw", "lids", "listening", "breath")
)


def told_of(seed: int) -> Tensor:
    return torch.randn(4000, len(CHANNELS), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("painted", "gain"), [(1.0, 1.0), (0.8, 1.25), (0.4, LARGEST), (1.5, 1.0)])
def test_what_is_painted_too_small_is_told_larger(painted: float, gain: float) -> None:
    told = told_of(0)
    found = gains(told, told + 0.1 * told_of(1), painted * told + 0.1 * told_of(2))
    assert found[YAW].item() == pytest.approx(gain, abs=0.02)
    assert found[[LIDS, LISTENING]].tolist() == [1.0, 1.0]


def test_what_cannot_be_read_or_is_not_painted_is_told_as_meant() -> None:
    """Read badly from true latents; or not painted at all, where louder would not help."""
    told, true, painted = told_of(0), told_of(0), 0.7 * told_of(0)
    true[:, YAW] = 0.3 * told[:, YAW] + told_of(1)[:, YAW]
    painted[:, BREATH] = told_of(2)[:, BREATH]
    found = gains(told, true, painted)
    assert found[[YAW, BREATH]].tolist() == [1.0, 1.0]
    assert found[CHANNELS.index("smile")].item() == pytest.approx(1 / 0.7, abs=0.02)


def test_the_map_finds_what_was_told() -> None:
    seen = torch.randn(3000, 20, generator=torch.Generator().manual_seed(3))
    true = torch.randn(20, 11, generator=torch.Generator().manual_seed(4))
    reader = fitted(seen, seen @ true)
    torch.testing.assert_close(reader, true, atol=0.15, rtol=0.1)


def test_motion_is_the_difference_to_the_portrait_by_blocks() -> None:
    pivotal = np.random.default_rng(0).standard_normal((2, 48, 4, 4)).astype(np.float16)
    still = torch.from_numpy(pivotal).float()
    latents = still.unsqueeze(1).repeat(1, 3, 1, 1, 1)
    latents[1, 2, 5, :2, 2:] += 1.0
    found = moved(latents, pivotal)
    assert found.shape == (6, 48 * 4)
    assert found.nonzero().tolist() == [[5, 5 * 4 + 1]]


def test_what_is_quick_is_what_a_mean_over_time_lacks() -> None:
    held = torch.ones(2, 20, 3).cumsum(1)
    beat = torch.zeros(2, 20, 3)
    beat[0, 10, 1] = 1.0
    found = quick(held + beat)
    torch.testing.assert_close(found[:, 2:-2], quick(beat)[:, 2:-2])
    assert found[0, 10, 1].item() == pytest.approx(0.8, abs=1e-5)


def test_a_model_is_told_what_its_pictures_lack(
    data: Latents, model: Soul, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It follows from what it says of clips that the map has not seen."""
    portraits = np.zeros((len(data.latents), 64, 64, 3), np.uint8)
    found = readings(model, portraits, data)
    clips = max(1, min(calibrate.CLIPS, len(data.latents) // 2))
    assert {part.shape for part in found} == {(clips, data.latents.shape[1], len(CHANNELS))}
    told = torch.randn(8, 40, len(CHANNELS), generator=torch.Generator().manual_seed(5))
    told = told + told.roll(1, 1) + told.roll(2, 1) + told.roll(3, 1) + told.roll(4, 1)
    painted = 0.8 * (told - quick(told)) + 0.6 * quick(told)
    monkeypatch.setattr(calibrate, "readings", lambda *_: (told, told, painted))
    config = calibrated(deepcopy(model), portraits, data).config
    assert len(config.cue_gains) == len(CHANNELS)
    assert all(1.0 <= gain <= LARGEST for gain in config.cue_gains)
    assert 1.2 < config.cue_gains[YAW] < 1.5
    assert all(1.1 < gain < 1.6 for gain in config.gesture_gains)
    monkeypatch.setattr(calibrate, "readings", lambda *_: (told, told, told))
    assert calibrated(deepcopy(model), portraits, data).config.gesture_gains == (1.0, 1.0)

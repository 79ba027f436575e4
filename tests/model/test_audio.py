"""Sound → log-mel → tokens: the filters, the scale, and exactly which samples a chunk hears."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soul.model.audio import (
    AudioEncoder,
    hz_to_mel,
    log_mel,
    mel_filters,
    mel_to_hz,
    quietest,
    scaled,
    windows,
)
from soul.model.config import SOUL_TEST, AudioConfig

SILENCE = (1.5 - 8 + 4) / 4  # the floor: eight decades below the ceiling, in Whisper's scale


def slaney_hz(mel: float) -> float:
    """Slaney's Auditory Toolbox: 200/3 Hz a step to 1 kHz, then 27 steps to 6.4 kHz."""
    return 200.0 / 3 * mel if mel < 15 else 1000.0 * 6.4 ** ((mel - 15) / 27)


def independent_filters(mels: int) -> np.ndarray:
    """Triangles between neighbouring centres by linear interpolation, each of area one."""
    top = 15 + 27 * math.log(8000 / 1000) / math.log(6.4)
    points = [slaney_hz(top * i / (mels + 1)) for i in range(mels + 2)]
    bins = [40.0 * i for i in range(201)]
    rows = []
    for i in range(mels):
        low, centre, high = points[i : i + 3]
        triangle = np.interp(bins, [low, centre, high], [0, 1, 0], left=0, right=0)
        rows.append(triangle / ((high - low) / 2))
    return np.array(rows, np.float32)


@pytest.mark.parametrize("mels", [80, 128])
def test_filters_are_slaneys(mels: int) -> None:
    np.testing.assert_allclose(mel_filters(mels).numpy(), independent_filters(mels), atol=1e-8)


def test_filters_hold_whispers_own_figures() -> None:
    """The first values of Whisper's published 80-band filter bank."""
    filters = mel_filters(80)
    assert filters.shape == (80, 201)
    assert float(filters[0, 1]) == pytest.approx(0.02486259, abs=1e-7)
    assert float(filters[0, 0]) == 0


@given(st.floats(0, 8000))
def test_mels_and_hertz_are_each_others_inverse(hz: float) -> None:
    assert mel_to_hz(hz_to_mel(hz)) == pytest.approx(hz, abs=1e-6)
    assert slaney_hz(hz_to_mel(hz)) == pytest.approx(hz, abs=1e-6)


@pytest.mark.parametrize("hz", [200, 440, 1000, 2345, 5000, 7600])
def test_a_sine_is_loudest_in_its_own_band(hz: int) -> None:
    pcm = torch.sin(2 * math.pi * hz * torch.arange(8400) / 16_000)
    level = log_mel(pcm[None], 80)[0]
    assert level.shape == (80, 51)
    centres = [slaney_hz(hz_to_mel(8000) * (i + 1) / 81) for i in range(80)]
    nearest = int(np.argmin([abs(c - hz) for c in centres]))
    assert (level.argmax(0) - nearest).abs().max() <= 1
    assert 0.5 < level.max() < 2


@pytest.mark.parametrize("level", [0.0, 1e-9])
def test_silence_is_one_constant_floor(level: float) -> None:
    found = log_mel(torch.full((1, 8400), level), 80)
    torch.testing.assert_close(found, torch.full((1, 80, 51), SILENCE))


def test_the_ceiling_sets_the_floor() -> None:
    """Eight decades below it everything is one; above, nothing is changed."""
    level = torch.tensor([-9.0, -7.0, -1.0, 3.0])
    assert scaled(level, 2.0).tolist() == [-0.5, -0.5, 0.75, 1.75]
    rows = scaled(level.view(2, 2), torch.tensor([[2.0], [6.0]]))
    assert rows.tolist() == [[-0.5, -0.5], [0.75, 1.75]]


def test_ten_times_the_power_is_a_quarter_more() -> None:
    noise = torch.randn(1, 8400, generator=torch.Generator().manual_seed(0)) * 0.1
    louder = log_mel(noise * math.sqrt(10), 80) - log_mel(noise, 80)
    torch.testing.assert_close(louder, torch.full_like(louder, 0.25), atol=1e-4, rtol=0)


def test_one_mel_frame_hears_its_400_samples_alone() -> None:
    pcm = torch.zeros(1, 8400)
    pcm[0, 4000:4010] = 0.5
    heard = (log_mel(pcm, 80)[0] > SILENCE + 1e-3).any(0)
    assert [i for i in range(51) if heard[i]] == [
        i for i in range(51) if i * 160 < 4009 and i * 160 + 400 > 4001
    ]


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 12), st.integers(0, 5))
def test_windows_are_aligned_to_the_sample(n: int, chunk: int, past: int, ahead: int) -> None:
    found = windows(torch.arange(1.0, n + 1), past, chunk, ahead)
    assert found.shape == (-(-n // chunk), past + chunk + ahead)
    for c, row in enumerate(found.tolist()):
        first = c * chunk - past
        assert row == [
            i + 1 if 0 <= i < n else 0 for i in range(first, first + past + chunk + ahead)
        ]


def test_the_encoder_gives_a_token_for_every_four_hops() -> None:
    torch.manual_seed(0)
    encoder = AudioEncoder(SOUL_TEST.audio)
    tokens = encoder(torch.randn(2, SOUL_TEST.window_samples) * 0.1)
    assert tokens.shape == (2, 13, 16)
    assert encoder.tokens == 13
    wide = AudioConfig(past_mels=20, width=8, out_dim=4)
    assert AudioEncoder(wide)(torch.zeros(1, 39 * 160 + 400 - 160)).shape == (1, 10, 4)


def test_the_encoder_hears_every_part_of_its_window_and_no_other_row() -> None:
    torch.manual_seed(0)
    encoder = AudioEncoder(SOUL_TEST.audio)
    pcm = torch.randn(2, SOUL_TEST.window_samples) * 0.1
    before = encoder(pcm)
    for at in (200, 4000, 8200):
        changed = pcm.clone()
        changed[1, at : at + 100] += 0.5
        after = encoder(changed)
        assert not torch.allclose(after[1], before[1])
        torch.testing.assert_close(after[0], before[0])


def test_a_hiss_that_is_always_there_is_hardly_heard_above_it() -> None:
    """Ten times the power of a steady hiss moves every level by 0.25, and what is above it not."""
    hiss = torch.randn(1, 32_000, generator=torch.Generator().manual_seed(0)) * 0.01
    for gain in (1.0, math.sqrt(10)):
        mel = log_mel(hiss * gain, 80)
        above = mel - quietest(mel)
        assert 0 <= above.mean() < 0.15
    assert (quietest(log_mel(hiss * math.sqrt(10), 80)) - quietest(log_mel(hiss, 80))).mean() > 0.2
    spoken = hiss.clone()
    spoken[0, 20_000:24_000] += 0.3 * torch.sin(0.4 * torch.arange(4000))
    with_voice, without = log_mel(spoken, 80), log_mel(hiss, 80)
    assert (with_voice - without).max() > 1  # the voice is heard, and not held for the room
    assert (quietest(with_voice) - quietest(without)).abs().max() < 0.1


def test_levels_are_heard_twice_where_noise_is_known() -> None:
    """The first convolution sees each band and how far it is above the quietest it was."""
    config = AudioConfig(mels=80, noise_mels=40, width=8, out_dim=4)
    encoder = AudioEncoder(config)
    assert encoder.conv1.in_channels == 160
    assert config.tokens == AudioConfig(width=8, out_dim=4).tokens == 13
    heard: list[torch.Tensor] = []
    encoder.conv1.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    mel = torch.randn(2, 80, config.window_mels)
    assert encoder.encode(mel).shape == (2, 13, 4)
    own = mel[..., 40:]
    assert torch.equal(heard[0], torch.cat((own, own - quietest(mel)), 1))

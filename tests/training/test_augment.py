"""Effects keep length and range, do what they say, and repeat themselves from a seed."""

from collections.abc import Callable

import numpy as np
import pytest

from soul.training import augment
from soul.training.augment import AugmentConfig
from soul.training.speech import Pcm

SECOND = 16_000


def tone(hertz: float) -> Pcm:
    return (0.1 * np.sin(2 * np.pi * hertz * np.arange(SECOND) / SECOND)).astype(np.float32)


def level(pcm: Pcm) -> float:
    return float(np.sqrt(np.mean(np.square(pcm))))


@pytest.mark.parametrize("source", [augment.noise, augment.hum, augment.clicks, augment.music])
def test_sources_sound_and_repeat(source: Callable[[np.random.Generator, int], Pcm]) -> None:
    first, second = (source(np.random.default_rng(1), 2 * SECOND) for _ in range(2))
    assert first.shape == (2 * SECOND,)
    assert first.dtype == np.float32
    assert level(first) > 0
    assert np.array_equal(first, second)


def test_gain_is_in_decibels_and_clips() -> None:
    assert level(augment.gained(tone(440), -6.0206)) == pytest.approx(0.5 * level(tone(440)))
    assert np.abs(augment.gained(tone(440), 40.0)).max() == 1.0


def test_telephone_keeps_the_voice_band_only() -> None:
    assert level(augment.telephone(tone(1000))) == pytest.approx(level(tone(1000)), rel=1e-3)
    assert level(augment.telephone(tone(100))) < 0.02 * level(tone(100))
    assert level(augment.telephone(tone(6000))) < 0.02 * level(tone(6000))


def test_a_room_answers_after_the_sound_never_before() -> None:
    click = np.zeros(SECOND, np.float32)
    click[4000] = 0.5
    heard = augment.reverberate(np.random.default_rng(0), click)
    assert np.abs(heard[:3999]).max() < 1e-6
    assert np.abs(heard[4001:6000]).max() > 1e-4
    assert heard[4000] == pytest.approx(0.5, rel=1e-3)


def test_breath_is_soft_and_swells() -> None:
    air = augment.breath(np.random.default_rng(0), 6400)
    assert np.abs(air).max() < 0.05
    assert level(air[:300]) < level(air[2500:4500])


def test_augment_repeats_and_stays_in_range() -> None:
    for seed in range(20):
        first = augment.augment(np.random.default_rng(seed), tone(300))
        assert first.dtype == np.float32
        assert first.shape == (SECOND,)
        assert np.abs(first).max() <= 1.0
        assert np.array_equal(first, augment.augment(np.random.default_rng(seed), tone(300)))


def test_silence_gets_noise_at_the_asked_ratio() -> None:
    always = AugmentConfig(
        clean=0.0, reverb=0.0, telephone=0.0, noise=1.0, hum=0.0, clicks=0.0, music=0.0,
        headset=0.0, lossy=0.0, noise_ratio=(20.0, 20.0), gain=(0.0, 0.0),
    )  # fmt: skip
    heard = augment.augment(np.random.default_rng(0), np.zeros(SECOND, np.float32), always)
    assert level(heard) == pytest.approx(0.009, rel=1e-3)


def test_clean_changes_the_gain_only() -> None:
    clean = AugmentConfig(clean=1.0, gain=(0.0, 0.0))
    heard = augment.augment(np.random.default_rng(0), tone(300), clean)
    assert np.array_equal(heard, tone(300))


def test_lost_packets_are_the_asked_share_and_fading_repetitions() -> None:
    rng = np.random.default_rng(0)
    sound = rng.uniform(0.1, 0.2, 10 * SECOND + 100).astype(np.float32)
    heard = augment.lossy(np.random.default_rng(1), sound, 0.05)
    assert heard.shape == sound.shape
    before, after = sound[: 500 * 320].reshape(-1, 320), heard[: 500 * 320].reshape(-1, 320)
    lost = np.flatnonzero((before != after).any(axis=1))
    assert 0.03 < lost.size / 500 < 0.07
    for packet in lost:
        assert np.allclose(after[packet], 0.6 * after[packet - 1])
    assert np.array_equal(heard[500 * 320 :], sound[500 * 320 :])


def test_nothing_is_lost_on_a_good_line() -> None:
    assert np.array_equal(augment.lossy(np.random.default_rng(0), tone(300), 0.0), tone(300))


def test_a_headset_has_little_bass_and_few_levels() -> None:
    heard = augment.headset(np.random.default_rng(0), tone(300))
    assert heard.shape == tone(300).shape
    assert heard.dtype == np.float32
    assert len(np.unique(heard)) <= 255
    loud = np.asarray(20 * tone(300), np.float32)
    assert np.abs(augment.headset(np.random.default_rng(0), loud)).max() <= 0.3 + 1e-6
    both = np.asarray(tone(60) + tone(2_000), np.float32)
    power = np.abs(np.fft.rfft(augment.headset(np.random.default_rng(0), both)))
    assert power[60] < 0.1 * power[2_000]  # one bin is 1 Hz
    assert not augment.headset(np.random.default_rng(0), np.zeros(SECOND, np.float32)).any()

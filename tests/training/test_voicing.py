"""Ways to use a voice: what each changes, what it leaves alone, and that a seed repeats it."""

import numpy as np
import pytest

from soul.measure.lips import correlation
from soul.training.speech import SILENCE, Pcm, Phone
from soul.training.voicing import (
    KINDS,
    Delivery,
    Kind,
    deliver,
    draw_delivery,
    shout,
    throat,
    vibrato,
    whisper,
)

SECOND = 16_000


def buzz(hertz: float, seconds: float = 1.0) -> Pcm:
    """A voice of known pitch: harmonics up to 3 kHz, each softer than the last."""
    at = np.arange(int(seconds * SECOND)) / SECOND
    count = int(3_000 / hertz)
    tones = [np.sin(2 * np.pi * hertz * n * at) / n for n in range(1, count + 1)]
    return np.asarray(0.05 * np.sum(tones, axis=0), np.float32)


def periodicity(pcm: Pcm) -> tuple[float, float]:
    """The strongest period between 70 and 350 Hz: its pitch in Hz, and its share of the energy."""
    spectrum = np.abs(np.fft.rfft(pcm, 2 * pcm.size)) ** 2
    found = np.fft.irfft(spectrum)[: pcm.size]
    low, high = SECOND // 350, SECOND // 70
    lag = low + int(np.argmax(found[low:high]))
    return SECOND / lag, float(found[lag] / found[0])


def loudness(pcm: Pcm, hop: int = 800) -> Pcm:
    blocks = pcm[: pcm.size // hop * hop].reshape(-1, hop)
    return np.asarray(np.sqrt(np.mean(np.square(blocks), axis=1)), np.float32)


@pytest.mark.parametrize("size", [0.85, 1.0, 1.35])
def test_a_throat_shortens_sound_and_phones_alike(size: float) -> None:
    edges = [0, 3_000, 3_001, 9_000, SECOND]
    labels = (SILENCE, "b", "a", "m")
    phones = [Phone(n, s, e) for n, s, e in zip(labels, edges[:-1], edges[1:], strict=True)]
    sound, moved = throat(buzz(150.0), phones, Delivery(size=size))
    assert sound.size == pytest.approx(SECOND / size, abs=1)
    assert sound.dtype == np.float32
    assert [phone.label for phone in moved] == list(labels)
    assert (moved[0].start, moved[-1].end) == (0, sound.size)
    assert [p.end for p in moved[:-1]] == [p.start for p in moved[1:]]
    assert [p.start * size for p in moved] == pytest.approx(edges[:-1], abs=2)


def test_a_small_throat_is_a_high_one() -> None:
    phones = [Phone("a", 0, SECOND)]
    high, _ = throat(buzz(150.0), phones, Delivery(size=1.3))
    assert periodicity(high[2_000:10_000])[0] == pytest.approx(195.0, rel=0.02)
    plain, same = throat(buzz(150.0), phones, Delivery())
    assert np.array_equal(plain, buzz(150.0))
    assert same == phones


def test_a_throat_keeps_pace_by_a_slower_synthesiser() -> None:
    assert Delivery(size=1.25).pace == pytest.approx(0.8)
    assert Delivery("song").pace == pytest.approx(0.6)


def test_a_whisper_has_no_pitch_but_the_voices_envelope() -> None:
    swells = buzz(140.0, 2.0) * np.sin(np.pi * np.arange(2 * SECOND) / SECOND * 3) ** 2
    voice = np.asarray(swells, np.float32)
    breath = whisper(np.random.default_rng(0), voice)
    assert breath.shape == voice.shape
    assert breath.dtype == np.float32
    assert periodicity(voice)[1] > 0.7
    assert periodicity(breath)[1] < 0.2
    assert correlation(loudness(voice), loudness(breath)) > 0.9
    assert loudness(breath).mean() < loudness(voice).mean()


def test_a_whisper_of_silence_is_silence() -> None:
    silence = np.zeros(SECOND, np.float32)
    assert not whisper(np.random.default_rng(0), silence).any()


def test_a_shout_is_flat_within_bounds_and_higher_in_its_notes() -> None:
    voice = np.concatenate((8 * buzz(140.0, 0.5), 2 * buzz(140.0, 0.5)))
    loud = shout(np.random.default_rng(0), voice)
    assert loud.shape == voice.shape
    assert loud.dtype == np.float32
    assert np.abs(loud).max() <= 0.35
    strong, soft = loudness(loud, 8_000)
    assert soft > 0.32 * strong  # it was a quarter of it

    def treble(pcm: Pcm) -> float:
        power = np.abs(np.fft.rfft(pcm)) ** 2
        return float(power[1_500:].sum() / power.sum())  # one bin is 1 Hz

    assert treble(loud) > 1.5 * treble(voice)


def test_vibrato_keeps_length_and_swings_the_pitch() -> None:
    tone = (0.1 * np.sin(2 * np.pi * 200.0 * np.arange(2 * SECOND) / SECOND)).astype(np.float32)
    sung = vibrato(np.random.default_rng(0), tone)
    assert sung.shape == tone.shape
    assert sung.dtype == np.float32
    crossings = np.flatnonzero((sung[:-1] < 0) & (sung[1:] >= 0))
    share = -sung[crossings] / (sung[crossings + 1] - sung[crossings])
    pitch = SECOND / np.diff(crossings + share)
    assert pitch.mean() == pytest.approx(200.0, rel=0.01)
    assert pitch.max() == pytest.approx(204.0, abs=0.5)
    assert pitch.min() == pytest.approx(196.0, abs=0.5)
    swings = np.sum(np.diff(np.sign(pitch - 200.0)) != 0) / 2 / 2
    assert 4 <= swings <= 8


@pytest.mark.parametrize("kind", KINDS)
def test_delivery_moves_nothing_in_time_and_repeats(kind: Kind) -> None:
    voice = np.concatenate((np.zeros(SECOND // 2, np.float32), buzz(140.0, 0.5)))
    first, second = (deliver(np.random.default_rng(4), voice, kind) for _ in range(2))
    assert first.shape == voice.shape
    assert np.array_equal(first, second)
    assert loudness(first)[:9].max() < 0.01 * loudness(first)[11:].max()
    assert np.array_equal(first, voice) == (kind == "plain")


def test_deliveries_are_mostly_plain_adults_within_bounds() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_delivery(rng) for _ in range(2_000)]
    plain = np.mean([one.kind == "plain" for one in drawn])
    adult = np.mean([one.size == 1.0 for one in drawn])
    assert 0.7 < plain < 0.82
    assert 0.6 < adult < 0.75
    assert {one.kind for one in drawn} == set(KINDS)
    assert {round(20 * one.size) for one in drawn} == set(range(17, 28))

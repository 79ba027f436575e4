"""Rooms, microphones and what else is heard: makes clean speech sound like a real call.

Pure functions of samples and a generator: float32 [n] at 16 kHz in, the same shape out. Nothing
here moves the mouth: noise, music and breath also lie over silence, so that the model learns to
tell a voice from a sound.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter

from soul.timebase import AUDIO_RATE
from soul.training.speech import Pcm

_REFERENCE = 0.09  # the level that signal-to-noise ratios refer to, that of clean speech


@dataclass(frozen=True)
class AugmentConfig:
    """How often each effect is met, and how strong: ratios and gains in dB."""

    clean: float = 0.2  # share of sounds that only get a gain
    reverb: float = 0.4
    telephone: float = 0.15
    noise: float = 0.6
    hum: float = 0.12
    clicks: float = 0.15
    music: float = 0.12
    headset: float = 0.2
    lossy: float = 0.15
    noise_ratio: tuple[float, float] = (8.0, 38.0)
    music_ratio: tuple[float, float] = (14.0, 30.0)
    gain: tuple[float, float] = (-20.0, 14.0)  # above 6 a voice is clipped, and hiss is loud


def augment(rng: np.random.Generator, pcm: Pcm, config: AugmentConfig | None = None) -> Pcm:
    """A sound as a microphone might give it: float32 [n] → float32 [n] in [-1, 1]."""
    config = config or AugmentConfig()
    sound = pcm
    if rng.random() >= config.clean:
        if rng.random() < config.reverb:
            sound = reverberate(rng, sound)
        sound = sound + _background(rng, sound.size, config)
        if rng.random() < config.telephone:
            sound = telephone(sound)
        if rng.random() < config.headset:
            sound = headset(rng, sound)
        if rng.random() < config.lossy:
            sound = lossy(rng, sound, rng.uniform(0.01, 0.08))
    return gained(sound, rng.uniform(*config.gain))


def _background(rng: np.random.Generator, samples: int, config: AugmentConfig) -> Pcm:
    sound = np.zeros(samples, np.float32)
    if rng.random() < config.noise:
        sound += levelled(noise(rng, samples), rng.uniform(*config.noise_ratio))
    if rng.random() < config.hum:
        sound += levelled(hum(rng, samples), rng.uniform(20.0, 40.0))
    if rng.random() < config.clicks:
        sound += levelled(clicks(rng, samples), rng.uniform(12.0, 30.0))
    if rng.random() < config.music:
        sound += levelled(music(rng, samples), rng.uniform(*config.music_ratio))
    return sound


def levelled(sound: Pcm, ratio_db: float) -> Pcm:
    """`sound` at `ratio_db` below the level of clean speech; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(sound)))) if sound.size else 0.0
    if rms == 0.0:
        return sound
    gain = _REFERENCE * 10.0 ** (-ratio_db / 20.0) / rms
    return np.asarray(sound * gain, np.float32)


def gained(pcm: Pcm, gain_db: float) -> Pcm:
    """Louder or softer by `gain_db`, clipped to [-1, 1] as a converter would."""
    return np.asarray(np.clip(pcm * 10.0 ** (gain_db / 20.0), -1.0, 1.0), np.float32)


def noise(rng: np.random.Generator, samples: int) -> Pcm:
    """White, pink or brown noise: power falls by 0, 3 or 6 dB an octave above 30 Hz."""
    slope = rng.choice([0.0, 0.5, 1.0])
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.maximum(np.fft.rfftfreq(samples, 1.0 / AUDIO_RATE), 30.0)
    return np.asarray(np.fft.irfft(spectrum / frequency**slope, samples), np.float32)


def hum(rng: np.random.Generator, samples: int) -> Pcm:
    """Mains hum: 50 or 60 Hz and its harmonics, each softer than the last."""
    base = rng.choice([50.0, 60.0])
    phase = 2.0 * np.pi * base * np.arange(samples) / AUDIO_RATE
    parts = [
        rng.uniform(0.3, 1.0) / k * np.sin(k * phase + 6.28 * rng.random()) for k in range(1, 7)
    ]
    return np.asarray(np.sum(parts, axis=0), np.float32)


def clicks(rng: np.random.Generator, samples: int) -> Pcm:
    """Typing: short decaying bursts of noise, several a second, in runs with rests between."""
    sound = np.zeros(samples, np.float32)
    position = int(rng.integers(0, AUDIO_RATE))
    while position < samples:
        length = min(samples - position, int(rng.integers(80, 400)))
        decay = np.exp(-np.arange(length) / rng.uniform(20.0, 90.0))
        burst = rng.uniform(0.3, 1.0) * decay * rng.standard_normal(length)
        sound[position : position + length] += burst.astype(np.float32)
        rest = AUDIO_RATE * rng.uniform(0.5, 2.5) if rng.random() < 0.15 else 0.0
        position += int(AUDIO_RATE * rng.uniform(0.07, 0.3) + rest)
    return sound


def music(rng: np.random.Generator, samples: int) -> Pcm:
    """Plucked chords, one every 0.4 to 1.2 s: triads of decaying tones with soft overtones."""
    sound = np.zeros(samples, np.float32)
    beat = int(AUDIO_RATE * rng.uniform(0.4, 1.2))
    root = 110.0 * 2.0 ** (rng.integers(0, 13) / 12.0)
    for start in range(0, samples, beat):
        length = min(2 * beat, samples - start)
        step = int(rng.choice([0, 2, 4, 5, 7, 9]))
        sound[start : start + length] += _chord(root * 2.0 ** (step / 12.0), length)
    return sound


def _chord(root: float, samples: int) -> Pcm:
    seconds = np.arange(samples) / AUDIO_RATE
    tones = np.zeros(samples)
    for interval in (0, 4, 7):
        phase = 2.0 * np.pi * root * 2.0 ** (interval / 12.0) * seconds
        tones += np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)
    attack = np.minimum(seconds / 0.01, 1.0)
    return (tones * attack * np.exp(-seconds / 0.4)).astype(np.float32)


def breath(rng: np.random.Generator, samples: int) -> Pcm:
    """An intake of breath: soft band-limited noise that swells and stops, peak about 0.01."""
    air = lfilter([1.0, -0.95], [1.0, -0.6], rng.standard_normal(samples))
    swell = np.square(np.sin(np.pi * np.linspace(0.0, 1.0, samples) ** 1.5))
    return (rng.uniform(0.001, 0.006) * air * swell).astype(np.float32)


def reverberate(rng: np.random.Generator, pcm: Pcm) -> Pcm:
    """A room: the direct sound and a tail that falls by 60 dB within 0.12 to 0.5 s."""
    seconds = rng.uniform(0.12, 0.5)
    times: NDArray[np.float64] = np.arange(int(seconds * AUDIO_RATE)) / AUDIO_RATE
    tail = rng.standard_normal(times.size) * np.exp(-6.9 * times / seconds)
    tail *= rng.uniform(0.15, 0.6) / np.sqrt(np.sum(np.square(tail)))
    tail[0] = 1.0
    return fftconvolve(pcm, tail)[: pcm.size].astype(np.float32)


def telephone(pcm: Pcm) -> Pcm:
    """Narrowband: what is left of a sound below 300 Hz and above 3.4 kHz is 40 dB down."""
    spectrum = np.fft.rfft(pcm)
    frequency = np.fft.rfftfreq(pcm.size, 1.0 / AUDIO_RATE)
    inside = (frequency > 300.0) & (frequency < 3400.0)
    return np.fft.irfft(np.where(inside, spectrum, 0.01 * spectrum), pcm.size).astype(np.float32)


def headset(rng: np.random.Generator, pcm: Pcm) -> Pcm:
    """A cheap capsule: a resonance between 1.5 and 4 kHz, little bass, up to 12 dB too loud for
    its eight bits, clipped."""
    angle = 2.0 * np.pi * rng.uniform(1500.0, 4000.0) / AUDIO_RATE
    ring = lfilter([1.0, -1.0], [1.0, -1.7 * np.cos(angle), 0.72], pcm)
    ring *= np.sqrt(np.mean(np.square(pcm)) / max(float(np.mean(np.square(ring))), 1e-12))
    clipped = np.clip(ring * 10.0 ** (rng.uniform(0.0, 12.0) / 20.0), -0.3, 0.3)
    return np.asarray(np.round(clipped * 127.0 / 0.3) * (0.3 / 127.0), np.float32)


def lossy(rng: np.random.Generator, pcm: Pcm, share: float) -> Pcm:
    """Packets of 20 ms lost on the way, `share` of them, each replaced by a fading repetition."""
    size = AUDIO_RATE // 50
    packets = np.array(pcm[: pcm.size // size * size]).reshape(-1, size)
    lost = rng.random(len(packets)) < share
    for n in np.flatnonzero(lost[1:]) + 1:
        packets[n] = 0.6 * packets[n - 1]
    sound = np.array(pcm)
    sound[: packets.size] = packets.reshape(-1)
    return sound

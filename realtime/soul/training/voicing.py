"""How a voice is used: small and large throats, whisper, shout, song.

Pure functions of samples and a generator, float32 at 16 kHz. Synthesisers speak like newsreaders;
people do not. None of it moves a phone in time but `throat`, which shortens both alike.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.signal import istft, lfilter, resample_poly, stft

from soul.timebase import AUDIO_RATE
from soul.training.speech import Pcm, Phone

Kind: TypeAlias = Literal["plain", "whisper", "shout", "song"]
KINDS: tuple[Kind, ...] = ("plain", "whisper", "shout", "song")
_SHARES = (0.76, 0.08, 0.08, 0.08)
_STEPS = 20  # a throat's size is a whole number of these parts
_SIZED = 0.35  # share of voices whose throat is not the synthesiser's
_FRAME = 96  # samples, 6 ms: too short to resolve a voice's harmonics


@dataclass(frozen=True, slots=True)
class Delivery:
    """`size` multiplies pitch and formants (children above 1); `kind` is how it is spoken."""

    kind: Kind = "plain"
    size: float = 1.0

    @property
    def pace(self) -> float:
        """What the synthesiser's speed is multiplied with, so that the throat does not hurry it."""
        return (0.6 if self.kind == "song" else 1.0) / self.size


def draw_delivery(rng: np.random.Generator) -> Delivery:
    """Mostly a plain adult; sometimes a child, a giant, a whisper, a shout, a song."""
    kind = KINDS[rng.choice(len(KINDS), p=_SHARES)]
    size = int(rng.integers(17, 28)) if rng.random() < _SIZED else _STEPS
    return Delivery(kind, size / _STEPS)


def throat(pcm: Pcm, phones: list[Phone], delivery: Delivery) -> tuple[Pcm, list[Phone]]:
    """Sound [n] and phones by a throat of another size: [n / size], pitch and formants times it."""
    if delivery.size == 1.0:
        return pcm, phones
    sound = resample_poly(pcm, _STEPS, round(delivery.size * _STEPS)).astype(np.float32)
    edges = [round(phone.end / delivery.size) for phone in phones]
    edges[-1] = sound.size
    starts = [0, *edges[:-1]]
    return sound, [Phone(p.label, s, e) for p, s, e in zip(phones, starts, edges, strict=True)]


def deliver(rng: np.random.Generator, pcm: Pcm, kind: Kind) -> Pcm:
    """`pcm` [n] as it would sound whispered, shouted or sung: [n]."""
    if kind == "whisper":
        return whisper(rng, pcm)
    if kind == "shout":
        return shout(rng, pcm)
    return vibrato(rng, pcm) if kind == "song" else pcm


def whisper(rng: np.random.Generator, pcm: Pcm) -> Pcm:
    """Breath in the place of a voice: the spectrum's envelope with random phases, 12 dB softer."""
    _, _, spectrum = stft(pcm, nperseg=_FRAME, noverlap=_FRAME * 3 // 4)
    turned = np.abs(spectrum) * np.exp(2j * np.pi * rng.random(spectrum.shape))
    _, sound = istft(turned, nperseg=_FRAME, noverlap=_FRAME * 3 // 4)
    breath = np.zeros_like(pcm)
    count = min(pcm.size, sound.size)
    breath[:count] = lfilter([1.0, -0.7], [1.0], sound[:count])  # a breath has no deep notes
    return 0.6 * breath


def shout(rng: np.random.Generator, pcm: Pcm) -> Pcm:
    """A pressed voice: more of the high notes, and too loud for its microphone."""
    pressed = lfilter([1.0, -rng.uniform(0.4, 0.8)], [1.0], pcm)
    drive = rng.uniform(4.0, 9.0)
    return np.tanh(drive * pressed).astype(np.float32) * np.float32(0.35)


def vibrato(rng: np.random.Generator, pcm: Pcm) -> Pcm:
    """Pitch that swings by a third of a semitone, five to seven times a second."""
    rate, depth = 2 * np.pi * rng.uniform(5.0, 7.0), 0.02
    at = np.arange(pcm.size)
    swing = depth * AUDIO_RATE / rate * np.sin(rate * at / AUDIO_RATE)
    return np.interp(at + swing, at, pcm).astype(np.float32)

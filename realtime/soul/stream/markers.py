"""Flashes for beeps: pictures from which lips-against-sound can be measured at the viewer.

The wrapped model still computes every chunk; only what is shown is painted over. Knows nothing
of how the flash is found again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from soul.stream.types import ChunkFormat, Frames, Performs, Pictures, Samples, StreamId, Work
from soul.timebase import AUDIO_RATE, exact_div

TONE = 1000  # Hz: 40 whole cycles in a picture's 640 samples
THRESHOLD = 0.05  # amplitude of the tone over a whole picture's sound; full scale is 1
WHITE = 255
BLACK = 16  # the darkest luma that video range can carry


def tone_amplitude(samples: Samples, frequency: int = TONE) -> float:
    """Amplitude of a sine of `frequency` Hz in `samples` [n] at 16 kHz (Goertzel 1958)."""
    coefficient = 2.0 * np.cos(2.0 * np.pi * frequency / AUDIO_RATE)
    before, last = 0.0, 0.0
    for sample in samples.tolist():
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return float(2.0 * np.sqrt(max(power, 0.0)) / max(len(samples), 1))


class MarkerPerformer:
    """A performer whose pictures are white while their own 40 ms of sound beep, else near black."""

    def __init__(self, performer: Performs) -> None:
        self._performer = performer

    @property
    def format(self) -> ChunkFormat:
        return self._performer.format

    @property
    def steps(self) -> int:
        return self._performer.steps

    def open(self, stream: StreamId, portrait: Pictures, prompt: str, seed: int) -> None:
        self._performer.open(stream, portrait, prompt, seed)

    def close(self, stream: StreamId) -> None:
        self._performer.close(stream)

    def perform(self, works: Sequence[Work]) -> Iterator[Frames]:
        """As the wrapped performer, painted over; see the class."""
        sounds = {work.stream: self._own_sound(work) for work in works}
        for frames in self._performer.perform(works):
            yield replace(frames, pictures=_paint(frames.pictures, sounds[frames.stream]))

    def _own_sound(self, work: Work) -> Samples:
        """[frames, samples]: the very sound that each picture is shown with."""
        form = self.format
        length = exact_div(form.chunk_samples, form.frames_per_chunk)
        own = work.pcm[form.past_samples : form.past_samples + form.chunk_samples]
        return own.reshape(form.frames_per_chunk, length)


def _paint(pictures: Pictures, sounds: Samples) -> Pictures:
    beeps = np.array([tone_amplitude(sound) > THRESHOLD for sound in sounds])
    levels = np.where(beeps, WHITE, BLACK).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], pictures.shape).copy()

"""Flashes stand where beeps are heard, to the picture."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from soul.stream.markers import MarkerPerformer, tone_amplitude
from soul.stream.types import (
    ChunkFormat,
    Frames,
    Performs,
    Pictures,
    Samples,
    StageTimes,
    StreamId,
    Work,
)

FORM = ChunkFormat(
    chunk_samples=2560,
    past_samples=5320,
    lookahead_samples=520,
    frames_per_chunk=4,
    height=2,
    width=2,
)


class Grey:
    """A performer of grey pictures that remembers what it was asked."""

    format = FORM
    steps = 2

    def __init__(self) -> None:
        self.calls: list[str] = []

    def open(self, stream: StreamId, portrait: Pictures, prompt: str, seed: int) -> None:
        self.calls.append(f"open {stream}")

    def close(self, stream: StreamId) -> None:
        self.calls.append(f"close {stream}")

    def perform(self, works: Sequence[Work]) -> Iterator[Frames]:
        for work in works:
            grey = np.full((4, 2, 2, 3), 128, np.uint8)
            yield Frames(work.stream, work.chunk, grey, StageTimes(listen=1.0))
        self.calls.append("committed")


def beep(first: int, last: int, amplitude: float = 0.3) -> Samples:
    """A window with a tone of 1 kHz in its samples first … last of the chunk's own."""
    moment = np.arange(FORM.window_samples) - FORM.past_samples
    tone = amplitude * np.sin(2 * np.pi * 1000 * moment / 16_000 + 0.7)
    return np.where((moment >= first) & (moment < last), tone, 0).astype(np.float32)


def painted(*sounds: Samples) -> list[list[int]]:
    performer = MarkerPerformer(Grey())
    works = [Work(str(n), 9, pcm, 2, 0) for n, pcm in enumerate(sounds)]
    return [frames.pictures[:, 0, 0, 0].tolist() for frames in performer.perform(works)]


@pytest.mark.parametrize("frame", range(4))
def test_one_pictures_beep_makes_that_picture_white(frame: int) -> None:
    expected = [16] * 4
    expected[frame] = 255
    assert painted(beep(640 * frame, 640 * (frame + 1))) == [expected]


def test_sound_before_and_after_the_chunk_does_not_count() -> None:
    assert painted(beep(-5000, 0), beep(2560, 3080)) == [[16] * 4, [16] * 4]


def test_each_stream_of_a_batch_shows_its_own_beep() -> None:
    assert painted(beep(0, 640), beep(0, 0)) == [[255, 16, 16, 16], [16] * 4]


def test_a_faint_beep_and_noise_do_not_flash() -> None:
    noise = np.random.default_rng(0).standard_normal(FORM.window_samples).astype(np.float32) * 0.2
    assert painted(beep(0, 2560, amplitude=0.02), noise) == [[16] * 4, [16] * 4]


@pytest.mark.parametrize(("frequency", "expected"), [(1000, 0.4), (1500, 0.0)])
def test_amplitude_is_that_of_the_tone(frequency: int, expected: float) -> None:
    moment = np.arange(640) / 16_000
    sound = (0.4 * np.cos(2 * np.pi * frequency * moment)).astype(np.float32)
    assert tone_amplitude(sound) == pytest.approx(expected, abs=1e-6)


def test_no_sound_has_no_tone() -> None:
    assert tone_amplitude(np.zeros(0, np.float32)) == 0


def test_the_wrapped_performer_does_all_the_work() -> None:
    inner = Grey()
    performer: Performs = MarkerPerformer(inner)
    performer.open("a", np.zeros((2, 2, 3), np.uint8), "", 0)
    frames = list(performer.perform([Work("a", 3, beep(0, 640), 2, 0)]))
    performer.close("a")
    assert inner.calls == ["open a", "committed", "close a"]
    assert (frames[0].chunk, frames[0].times) == (3, StageTimes(listen=1.0))
    assert (performer.format, performer.steps) == (FORM, 2)

"""A model and the states of many streams: work in, pictures out.

The only room of `stream` that knows tensors. Knows no pipe, no deadline and no session; it lives
in the worker's process, on its one thread.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from soul.model import sample
from soul.model.load import load
from soul.model.sample import Actor, StreamState
from soul.model.vae import from_bytes
from soul.stream.types import ChunkFormat, Frames, Pictures, StageTimes, StreamId, Work

Seconds: TypeAlias = Callable[[], float]


def load_performer(weights: str, device: str, threads: int) -> "Performer":
    """The performer of shipped weights or a folder's; `soul.model.load.WeightsError` if none."""
    torch.set_num_threads(threads)
    performer = Performer(load(weights, device), time.perf_counter)
    warm_up(performer)
    return performer


def warm_up(performer: "Performer") -> None:
    """Run a chunk at each step count, so that no viewer waits for what happens only once."""
    stream, format = "warm-up", performer.format
    portrait = np.zeros((format.height, format.width, 3), np.uint8)
    silence = np.zeros(format.window_samples, np.float32)
    performer.open(stream, portrait, "", seed=0)
    for chunk, steps in enumerate((performer.steps, 1)):
        for _ in performer.perform([Work(stream, chunk, silence, steps, deadline=0)]):
            pass  # the pictures are nobody's; running to the end commits
    performer.close(stream)


class Performer:
    """Runs chunks of many streams through one model; each stream's state is its own."""

    def __init__(self, model: Actor, seconds: Seconds) -> None:
        self._model = model
        self._seconds = seconds
        self._states: dict[StreamId, StreamState] = {}
        self._commits: dict[StreamId, float] = {}  # seconds that each stream's last commit took

    @property
    def format(self) -> ChunkFormat:
        config = self._model.config
        return ChunkFormat(
            chunk_samples=config.chunk_samples,
            past_samples=config.audio.past_samples,
            lookahead_samples=config.audio.lookahead_samples,
            frames_per_chunk=config.chunk_frames,
            height=config.height,
            width=config.width,
        )

    @property
    def steps(self) -> int:
        return self._model.config.steps

    @torch.inference_mode()
    def open(self, stream: StreamId, portrait: Pictures, prompt: str, seed: int) -> None:
        """Begin a stream with `portrait` uint8 [height, width, 3]; ValueError if it is not that."""
        expected = (self._model.config.height, self._model.config.width, 3)
        if portrait.shape != expected or portrait.dtype != np.uint8:
            raise ValueError(
                f"the portrait has shape {portrait.shape} of {portrait.dtype}: "
                f"{expected} of uint8 was expected"
            )
        if stream in self._states:
            raise ValueError(f"stream {stream!r} is open already")
        picture = from_bytes(portrait)
        self._states[stream] = sample.open_stream(self._model, picture, prompt, seed)
        self._commits[stream] = 0.0

    def close(self, stream: StreamId) -> None:
        """Free the stream's state; an unknown stream is no error."""
        self._states.pop(stream, None)
        self._commits.pop(stream, None)

    def perform(self, works: Sequence[Work]) -> Iterator[Frames]:
        """One forward for `works`, one chunk of each stream, all of one step count.

        Pictures are yielded before the clean pass that writes keys and values, so that they need
        not wait for it, nor for what a new prompt costs: run the iterator to its end. `times` are
        the whole batch's; `commit` is that of the stream's previous chunk. ValueError for an
        unknown stream or mixed steps.
        """
        states = self._states_of(works)
        with torch.inference_mode():
            began = self._seconds()
            for work, state in zip(works, states, strict=True):
                state.listening = work.listening
            audio = sample.listen(self._model, states, self._sound(works))
            heard = self._mark()
            latents = sample.denoise(self._model, states, audio, works[0].steps)
            denoised = self._mark()
            pictures = sample.decode(self._model, states, latents).cpu().numpy()
            decoded = self._mark()
        stages = heard - began, denoised - heard, decoded - denoised
        for work, shown in zip(works, pictures, strict=True):
            times = StageTimes(*stages, commit=self._commits[work.stream])
            yield Frames(work.stream, work.chunk, shown, times)
        began = self._seconds()  # not measured from `decoded`: the pictures were sent in between
        with torch.inference_mode():  # entered anew: a mode held across a yield would leak out
            for work, state in zip(works, states, strict=True):
                if work.prompt is not None:
                    sample.set_prompt(self._model, state, work.prompt)
            sample.commit(self._model, states, latents, audio)
        for work in works:
            self._commits[work.stream] = self._mark() - began

    def _mark(self) -> float:
        """Seconds now, after all that the device was asked to do."""
        if self._model.device.type == "cuda":
            torch.cuda.synchronize(self._model.device)
        return self._seconds()

    def _sound(self, works: Sequence[Work]) -> Tensor:
        """[B, window_samples] on the model's device."""
        return torch.from_numpy(np.stack([work.pcm for work in works])).to(self._model.device)

    def _states_of(self, works: Sequence[Work]) -> list[StreamState]:
        if unknown := [work.stream for work in works if work.stream not in self._states]:
            raise ValueError(f"stream {unknown[0]!r} is not open")
        if len({work.stream for work in works}) < len(works):
            raise ValueError("a batch holds two chunks of one stream: one of each was expected")
        if len(steps := {work.steps for work in works}) != 1:
            raise ValueError(f"a batch mixes step counts {sorted(steps)}: one was expected")
        return [self._states[work.stream] for work in works]

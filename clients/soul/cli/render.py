"""The work of `soul animate`: sound and portrait in, the rollout, pictures into a film.

Knows the model's rollout; reading sound and writing films are elsewhere, and so is the command.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from torch import Tensor

from soul.cli.console import stderr
from soul.cli.film import Film, FilmError, pictures_for
from soul.cli.plan import AnimateConfig, Report, in_time, prompts_by_chunk
from soul.cli.sound import Sound, read_sound
from soul.cli.stages import Laps, percentiles, waits_for, work_of
from soul.media.portrait import portrait_bytes, read_portrait
from soul.model import sample
from soul.model.load import load
from soul.model.sample import Actor, StreamState
from soul.model.vae import from_bytes
from soul.timebase import FRAME_RATE

Picture = NDArray[np.uint8]
Seconds = Callable[[], float]


def make(config: AnimateConfig, portrait: Path, speech: Path) -> Report:
    """Makes the film; SoundError, PlanError, PortraitError, WeightsError or FilmError if not."""
    check_output(config.output)
    sound = read_sound(speech)
    ordered = in_time(config.at, sound.seconds)
    picture_data = portrait_bytes(portrait)
    model = load(config.model, config.device)
    prompts = prompts_by_chunk(ordered, model.config.chunk_samples)
    size = model.config.height, model.config.width
    picture = read_portrait(picture_data, size)
    frames = pictures_for(sound.film.shape[1])
    stopwatch = _Stopwatch(time.perf_counter)
    laps = Laps(time.perf_counter, waits_for(config.device))
    with (
        Progress(*columns(), console=stderr(), transient=True) as progress,
        Film(config.output, size, sound.film) as film,
    ):
        task = progress.add_task(config.output.name, total=frames)
        done = 0
        made = render(model, picture, sound, config, prompts, laps)
        for pictures in stopwatch.over(made):
            film.add(pictures[: frames - done])
            done += min(len(pictures), frames - done)
            progress.update(task, completed=done)
    return Report(
        frames=frames,
        fps=float(FRAME_RATE),
        seconds=sound.seconds,
        realtime_factor=stopwatch.total / sound.seconds,
        first_frame_ms=stopwatch.first * 1000,
        model=config.model,
        device=str(model.device),
        peak_memory_bytes=peak_memory(model.device),
        stages_ms=percentiles(laps.times()),
        denoising=work_of(
            model.config, config.steps or model.config.steps, laps.times(), config.device
        ),
    )


def check_output(path: Path) -> None:
    """FilmError if it is not the name of an mp4."""
    if path.suffix.lower() != ".mp4":
        raise FilmError(f"the output is {str(path)!r}; expected a name ending in .mp4")


def render(
    model: Actor,
    portrait: Picture,
    sound: Sound,
    config: AnimateConfig,
    prompts: Mapping[int, str],
    laps: Laps,
) -> Iterator[Picture]:
    """The film's pictures, a chunk at a time: uint8 [4n, height, width, 3] each.

    `prompts` by the chunk that brings them; `laps` is told how long the stages take.
    """
    with torch.inference_mode():
        still = from_bytes(portrait)
        states = [sample.open_stream(model, still, config.prompt, config.seed)]
        chunks = sample.cut(model.config, torch.from_numpy(sound.speech).to(model.device))
    steps = config.steps or model.config.steps
    for chunk, pcm in enumerate(chunks):
        # No mode is held across the yield: it would leak out.
        audio, latents, pictures = shown(model, states, pcm, steps, laps)
        yield pictures
        keep(model, states, latents, audio, prompts.get(chunk), laps)


@torch.inference_mode()
def shown(
    model: Actor, states: Sequence[StreamState], heard: Tensor, steps: int, laps: Laps
) -> tuple[Tensor, Tensor, Picture]:
    """One stream's next chunk, which hears [window_samples]: what was heard, its latents, and its
    pictures uint8 [4n, height, width, 3]."""
    with laps.lap("listen"):
        audio = sample.listen(model, states, heard.unsqueeze(0))
    with laps.lap("denoise"):
        latents = sample.denoise(model, states, audio, steps)
    with laps.lap("decode"):
        pictures = sample.decode(model, states, latents)[0].cpu().numpy()
    return audio, latents, pictures


@torch.inference_mode()
def keep(
    model: Actor,
    states: Sequence[StreamState],
    latents: Tensor,
    audio: Tensor,
    prompt: str | None,
    laps: Laps,
) -> None:
    """The chunk becomes context, and `prompt` holds from the next one on, if there is one."""
    if prompt is not None:
        sample.set_prompt(model, states[0], prompt)
    with laps.lap("commit"):
        sample.commit(model, states, latents, audio)


def peak_memory(device: torch.device) -> int:
    """The most bytes that were in use: the device's if it has its own memory, or the process's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


class _Stopwatch:
    """Seconds spent inside an iterator, and until its first item."""

    def __init__(self, seconds: Seconds) -> None:
        self._seconds = seconds
        self.total = 0.0
        self.first = 0.0

    def over(self, items: Iterator[Picture]) -> Iterator[Picture]:
        while True:
            began = self._seconds()
            item = next(items, None)
            self.total += self._seconds() - began
            if item is None:
                return
            self.first = self.first or self.total
            yield item


def columns() -> tuple[ProgressColumn, ...]:
    """What the bar of a film tells: how much is made, and how long it will take."""
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )

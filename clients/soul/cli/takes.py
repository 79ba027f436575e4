"""The work of `soul animate` with a large model: the same rollout, take by take.

A take is about four seconds of film; after each one the state is on disk, so that what was
interrupted goes on from there. Films and folders are elsewhere, and so is the command.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from soul.cli import large
from soul.cli.console import stderr
from soul.cli.film import FilmError, pictures_for
from soul.cli.plan import AnimateConfig, Report, in_time, prompts_by_chunk
from soul.cli.reel import Reel, fingerprint
from soul.cli.render import Seconds, check_output, columns, keep, peak_memory, shown
from soul.cli.sound import Sound, read_sound
from soul.cli.stages import Laps, percentiles, waits_for, work_of
from soul.media.portrait import portrait_bytes, read_portrait
from soul.model import sample
from soul.model.config import CLIP_LATENTS, CLIP_OVERLAP, to_dict
from soul.model.keep import kept, taken_up
from soul.model.sample import StreamState
from soul.model.vae import from_bytes

if TYPE_CHECKING:
    from soul.checkpoints.running import Plan
    from soul.model.wan.actor import WanSoul

TAKE_LATENTS = CLIP_LATENTS - 1 - CLIP_OVERLAP  # new ones of a clip: 100 pictures


def make(config: AnimateConfig, portrait: Path, speech: Path) -> Report:
    """Makes the film, or goes on with it.

    Raises as `render.make` does, and CheckpointError, ConfigError or TextError for a folder that
    cannot be run.
    """
    from soul.checkpoints.running import FULL, lay_out

    check_output(config.output)
    sound = read_sound(speech)
    ordered = in_time(config.at, sound.seconds)
    data = portrait_bytes(portrait)
    large.admitted(config.model, config.accept_licence, "animate")
    folder = large.folder_of(config.model)
    plan = lay_out(folder, large.run_of(replace(config.large, steps=config.steps), FULL))
    sizes = plan.model.config
    picture = read_portrait(data, (sizes.height, sizes.width))
    large.tell_memory(plan, config.device)
    follows = follows_from(config, plan, data, sound)
    reel = Reel(config.output, (sizes.height, sizes.width), sizes.fps, follows)
    reel.check()
    told = [config.prompt, *(one.prompt for one in ordered)]
    prompts = prompts_by_chunk(ordered, sizes.chunk_samples)
    try:
        model = large.loaded(plan, config.device, told, keep=False)
        return Rendering(model, reel, sound, prompts, time.perf_counter).run(config, picture)
    except torch.OutOfMemoryError as error:
        raise FilmError(
            f"{config.device} has no memory left ({str(error).splitlines()[0]}); what is made "
            "is kept, and --tile, --dtype fp8 or a smaller --size needs less"
        ) from None


def follows_from(
    config: AnimateConfig, plan: "Plan", portrait: bytes, sound: Sound
) -> dict[str, Any]:
    """All that the film follows from, as JSON has it: another film is not gone on with."""
    from soul.checkpoints.running import unlisted

    values = {
        "weights": [asdict(file) for file in plan.manifest.files],
        "unlisted": [identity(path) for path in unlisted(plan)],
        "config": to_dict(plan.model.config),
        "portrait": fingerprint(portrait),
        "sound": fingerprint(sound.speech.tobytes() + sound.film.tobytes()),
        "prompts": [config.prompt, *([one.seconds, one.prompt] for one in config.at)],
        "negative": config.large.negative,
        "seed": config.seed,
        "dtype": config.large.dtype,
        "decoder": plan.run.decoder,
        "tile": config.large.tile,
        "device": config.device,
    }
    found: dict[str, Any] = json.loads(json.dumps(values))
    return found


def identity(path: Path) -> list[str | int]:
    """What tells a file from another without reading it, which may be gigabytes."""
    found = path.stat()
    return [str(path.resolve()), found.st_size, found.st_mtime_ns]


class Rendering:
    """One film of one model: chunk after chunk, take after take."""

    def __init__(
        self,
        model: "WanSoul",
        reel: Reel,
        sound: Sound,
        prompts: Mapping[int, str],
        seconds: Seconds,
    ) -> None:
        self._model, self._reel, self._sound = model, reel, sound
        self._prompts, self._seconds = prompts, seconds
        self._config = model.config
        self._laps = Laps(seconds, waits_for(str(model.device)))
        self._frames = pictures_for(sound.film.shape[1], model.config.fps)
        self._chunks = -(-self._frames // model.config.chunk_frames)
        self._first = 0.0  # seconds until the first new pictures

    def run(self, config: AnimateConfig, portrait: NDArray[np.uint8]) -> Report:
        """Goes on from the last take and joins the film."""
        began = self._seconds()
        state = self._open(config, portrait)
        before = self._reel.pictures
        with Progress(*columns(), console=stderr(), transient=True) as progress:
            self._roll(state, self._bar(progress, config.output.name, state))
        took, made = self._seconds() - began, self._frames - before
        self._reel.join(self._sound.film)
        return Report(
            frames=self._frames,
            fps=float(self._config.fps),
            seconds=self._sound.seconds,
            realtime_factor=took * self._config.fps / made if made else 0.0,
            first_frame_ms=self._first * 1000,
            model=config.model,
            device=str(self._model.device),
            peak_memory_bytes=peak_memory(self._model.device),
            stages_ms=percentiles(self._laps.times()),
            denoising=work_of(
                self._config, self._config.steps, self._laps.times(), str(self._model.device)
            ),
        )

    @torch.inference_mode()
    def _open(self, config: AnimateConfig, portrait: NDArray[np.uint8]) -> StreamState:
        model = self._model
        state = sample.open_stream(model, from_bytes(portrait), config.prompt, config.seed)
        values = self._reel.open(model.device)
        if values is None:
            return state
        stderr().print(f"going on from chunk {values['chunk']} of {self._chunks}", highlight=False)
        return taken_up(state, values, model.codec.again)

    def _bar(self, progress: Progress, name: str, state: StreamState) -> Callable[[], None]:
        """A step of the solver is one of the bar's; decoding and keeping a chunk is one more."""
        each = self._config.steps + 1
        done = state.chunk * each
        task = progress.add_task(name, total=self._chunks * each, completed=done)

        def step() -> None:
            progress.advance(task)

        self._model.after_step = step
        return step

    def _roll(self, state: StreamState, step: Callable[[], None]) -> None:
        config, pictures = self._config, list[NDArray[np.uint8]]()
        pcm = torch.from_numpy(self._sound.speech).to(self._model.device)
        left = self._frames - self._reel.pictures
        a_take, began = max(1, TAKE_LATENTS // config.chunk), self._seconds()
        for chunk in range(state.chunk, self._chunks):
            new = self._chunk(state, sample.window_at(config, pcm, chunk))[:left]
            self._first = self._first or self._seconds() - began
            left -= len(new)
            pictures.append(new)
            step()
            if (chunk + 1) % a_take == 0 or chunk + 1 == self._chunks:
                self._reel.add(pictures, kept(state, self._model.codec.kept))
                pictures = []

    def _chunk(self, state: StreamState, heard: torch.Tensor) -> NDArray[np.uint8]:
        """One chunk's pictures [4n, height, width, 3]; the state moves on."""
        model, states, prompt = self._model, [state], self._prompts.get(state.chunk)
        audio, latents, pictures = shown(model, states, heard, self._config.steps, self._laps)
        keep(model, states, latents, audio, prompt, self._laps)
        return pictures

"""`soul animate`: a portrait and a recording become a film, by the very rollout that serves live.

Knows the order of work and how to tell of it; reading, writing and the model are elsewhere.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from soul.media.portrait import PortraitError, read_portrait

from soul.cli.console import BAD_INPUT, fail, stderr, stdout
from soul.cli.film import Film, FilmError, pictures_for
from soul.cli.sound import Sound, SoundError, read_sound
from soul.model import sample
from soul.model.load import WeightsError, load
from soul.model.sample import Soul
from soul.timebase import FRAME_RATE

Picture = NDArray[np.uint8]
Seconds = Callable[[], float]


@dataclass(frozen=True, slots=True)
class AnimateConfig:
    """What `soul animate` may be told, and what it does untold."""

    output: Path = Path("out.mp4")
    prompt: str = ""
    seed: int = 0
    steps: int | None = None  # None: the model's own
    model: str = "soul-mini"
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Report:
    """What `--json` prints. `realtime_factor` is the model's seconds over the film's seconds."""

    frames: int
    fps: float
    seconds: float
    realtime_factor: float
    first_frame_ms: float
    model: str
    device: str
    peak_memory_bytes: int


DEFAULTS = AnimateConfig()


def animate(
    portrait: Annotated[Path, typer.Argument(help="A picture of a face: PNG, JPEG, WebP.")],
    speech: Annotated[Path, typer.Argument(help="A recording: WAV, or whatever FFmpeg reads.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The film to write, an .mp4.")
    ] = DEFAULTS.output,
    prompt: Annotated[str, typer.Option(help="The manner of speaking.")] = DEFAULTS.prompt,
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same film.", min=0)
    ] = DEFAULTS.seed,
    steps: Annotated[
        int | None,
        typer.Option(help="Denoising passes a chunk; untold, the model's own.", min=1, max=100),
    ] = DEFAULTS.steps,
    model: Annotated[
        str, typer.Option(help="A shipped model's name, or a folder with weights.")
    ] = DEFAULTS.model,
    device: Annotated[str, typer.Option(help="Where the model runs: cpu, cuda.")] = DEFAULTS.device,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON: what was measured.")
    ] = False,
) -> None:
    """Make a film: the portrait speaks the recording.

    Examples:

      soul animate face.png speech.wav -o out.mp4

      soul animate face.jpg talk.mp3 --prompt "calm, smiling" --seed 7 --json

    The film is exactly as long as the recording. It is made chunk by chunk by the same model and
    the same code as a live call, and appears under its name only once it is complete.
    """
    config = AnimateConfig(output, prompt, seed, steps, model, device)
    try:
        report = make(config, portrait, speech)
    except (SoundError, PortraitError) as error:
        fail(str(error), BAD_INPUT)
    except (WeightsError, FilmError) as error:
        fail(str(error))
    if as_json:
        stdout().print(json.dumps(asdict(report)), markup=False, highlight=False)
    else:
        stdout().print(
            f"[bold]{output}[/bold]: {report.seconds:.1f} s, {report.frames} pictures; "
            f"the model took {report.realtime_factor:.2f} s a second"
        )


def make(config: AnimateConfig, portrait: Path, speech: Path) -> Report:
    """Makes the film; SoundError, PortraitError, WeightsError or FilmError if it cannot."""
    if config.output.suffix.lower() != ".mp4":
        raise FilmError(f"the output is {str(config.output)!r}; expected a name ending in .mp4")
    sound = read_sound(speech)
    picture_data = _read(portrait)
    _check_device(config.device)
    model = load(config.model, config.device)
    picture = read_portrait(picture_data, model.config.image_size)
    frames = pictures_for(sound.film.shape[1])
    stopwatch = _Stopwatch(time.perf_counter)
    with (
        _progress() as progress,
        Film(config.output, model.config.image_size, sound.film) as film,
    ):
        task = progress.add_task(config.output.name, total=frames)
        shown = 0
        for pictures in stopwatch.over(render(model, picture, sound, config)):
            film.add(pictures[: frames - shown])
            shown += min(len(pictures), frames - shown)
            progress.update(task, completed=shown)
    return Report(
        frames=frames,
        fps=float(FRAME_RATE),
        seconds=sound.seconds,
        realtime_factor=stopwatch.total / sound.seconds,
        first_frame_ms=stopwatch.first * 1000,
        model=config.model,
        device=str(model.device),
        peak_memory_bytes=peak_memory(model.device),
    )


def render(
    model: Soul, portrait: Picture, sound: Sound, config: AnimateConfig
) -> Iterator[Picture]:
    """The film's pictures, a chunk at a time: uint8 [4, size, size, 3] each."""
    with torch.inference_mode():
        still = torch.from_numpy(portrait.copy()).permute(2, 0, 1).float() / 127.5 - 1
        states = [sample.open_stream(model, still, config.prompt, config.seed)]
        chunks = sample.cut(model, torch.from_numpy(sound.speech).to(model.device))
    for pcm in chunks:
        with torch.inference_mode():  # entered anew: a mode held across a yield would leak out
            audio = sample.listen(model, pcm.unsqueeze(0))
            latents = sample.denoise(model, states, audio, config.steps or model.config.steps)
            pictures = sample.decode(model, states, latents)[0].cpu().numpy()
        yield pictures
        with torch.inference_mode():
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


def _read(portrait: Path) -> bytes:
    try:
        return portrait.read_bytes()
    except OSError as error:
        raise PortraitError(
            f"{str(portrait)!r} cannot be read ({error.strerror}); expected an image of a face"
        ) from None


def _check_device(device: str) -> None:
    """WeightsError if the weights cannot be brought to `device`."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise WeightsError(
            f"the device {device!r} is not usable here; expected cpu, or cuda with a GPU"
        ) from None


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
    )

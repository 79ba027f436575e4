"""`soul animate`: a portrait and a recording become a film, by the very rollout that serves live.

The command and what it prints; the work is in `render`, which is imported only when it is asked
for, since torch takes a second.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from soul.cli import options as told
from soul.cli.console import BAD_INPUT, fail, stdout
from soul.cli.extras import need_extra
from soul.cli.plan import (
    DEFAULTS,
    AnimateConfig,
    LargeConfig,
    PlanError,
    Report,
    clips_of,
    for_small,
    prompt_at,
    size_of,
)

INTERRUPTED = 130  # what shells expect after Ctrl-C


def animate(
    portrait: Annotated[Path, typer.Argument(help="A picture of a face: PNG, JPEG, WebP.")],
    speech: Annotated[Path, typer.Argument(help="A recording: WAV, or whatever FFmpeg reads.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The film to write, an .mp4.")
    ] = DEFAULTS.output,
    prompt: Annotated[str, typer.Option(help="The manner of speaking.")] = DEFAULTS.prompt,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help='Another prompt from that time on, as SECONDS:PROMPT, such as 4.0:"a sad person". '
            "May be given several times.",
            metavar="SECONDS:PROMPT",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same film.", min=0)
    ] = DEFAULTS.seed,
    steps: Annotated[
        int | None,
        typer.Option(help="Denoising passes a chunk; else the model's own.", min=1, max=100),
    ] = DEFAULTS.steps,
    model: told.Model = DEFAULTS.model,
    device: Annotated[str, typer.Option(help="Where the model runs: cpu, cuda.")] = DEFAULTS.device,
    size: told.Size = None,
    mode: told.Mode = None,
    dtype: told.Dtype = DEFAULTS.large.dtype,
    decoder: told.Decoder = None,
    tile: told.Tile = False,
    solver: told.Solver = None,
    guidance: told.Guidance = None,
    audio_guidance: told.AudioGuidance = None,
    fps: told.Fps = None,
    negative: told.Negative = DEFAULTS.large.negative,
    ear: told.Ear = None,
    accept_licence: told.AcceptLicence = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one line of JSON: what was measured.")
    ] = False,
) -> None:
    """Make a film: the portrait speaks the recording.

    Examples:

      soul animate face.png speech.wav -o out.mp4

      soul animate face.jpg talk.mp3 --prompt "calm, smiling" --seed 7 --json

      soul animate face.png speech.wav --at 4.0:"a happy person, smiling" --at 8:"a sad person"

      soul animate face.png speech.wav --model soul-5b --device cuda --size 704x1280

    The film is exactly as long as the recording. It is made chunk by chunk by the same model and
    the same code as a live call, and appears under its name only once it is complete. With a large
    model (a folder that soul convert wrote) the memory is told first, and the same command goes on
    with a film that was interrupted.
    """
    try:
        large = LargeConfig(
            size_of(size), clips_of(mode), dtype, decoder, tile, solver, None, guidance,
            audio_guidance, fps, negative, ear,
        )  # fmt: skip
        prompts = tuple(prompt_at(text) for text in at or ())
        config = AnimateConfig(
            output, prompt, prompts, seed, steps, model, device, large, accept_licence
        )
        report = made(config, portrait, speech)
    except PlanError as error:
        fail(str(error), BAD_INPUT)
    if as_json:
        stdout().print(json.dumps(asdict(report)), markup=False, highlight=False)
    else:
        stdout().print(
            f"[bold]{output}[/bold]: {report.seconds:.1f} s, {report.frames} pictures; "
            f"the model took {report.realtime_factor:.2f} s for each second of film"
        )


def made(config: AnimateConfig, portrait: Path, speech: Path) -> Report:
    """The film by the code of its model's kind; trouble ends the command with one sentence."""
    from soul.cli.film import FilmError
    from soul.cli.large import is_large
    from soul.cli.sound import SoundError
    from soul.media.portrait import PortraitError
    from soul.model.load import WeightsError

    try:
        if is_large(config.model):
            return made_large(config, portrait, speech)
        from soul.cli.render import make

        for_small(config.large, config.model)
        return make(config, portrait, speech)
    except (SoundError, PortraitError) as error:
        fail(str(error), BAD_INPUT)
    except (WeightsError, FilmError) as error:
        fail(str(error))


def made_large(config: AnimateConfig, portrait: Path, speech: Path) -> Report:
    """The same of a converted folder."""
    need_extra("animate", "wan")
    from soul.checkpoints.running import TROUBLE
    from soul.cli.takes import make

    try:
        return make(config, portrait, speech)
    except TROUBLE as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on from the last take", INTERRUPTED)

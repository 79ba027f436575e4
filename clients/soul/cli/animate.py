"""`soul animate`: a portrait and a recording become a film, by the very rollout that serves live.

The command and what it prints; the work is in `render`, which is imported only when it is asked
for, since torch takes a second.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from soul.cli.console import BAD_INPUT, fail, stdout
from soul.cli.plan import DEFAULTS, AnimateConfig, PlanError, prompt_at


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

      soul animate face.png speech.wav --at 4.0:"a happy person, smiling" --at 8:"a sad person"

    The film is exactly as long as the recording. It is made chunk by chunk by the same model and
    the same code as a live call, and appears under its name only once it is complete.
    """
    from soul.cli.film import FilmError
    from soul.cli.render import make
    from soul.cli.sound import SoundError
    from soul.media.portrait import PortraitError
    from soul.model.load import WeightsError

    try:
        prompts = tuple(prompt_at(text) for text in at or ())
        config = AnimateConfig(output, prompt, prompts, seed, steps, model, device)
        report = make(config, portrait, speech)
    except (PlanError, SoundError, PortraitError) as error:
        fail(str(error), BAD_INPUT)
    except (WeightsError, FilmError) as error:
        fail(str(error))
    if as_json:
        stdout().print(json.dumps(asdict(report)), markup=False, highlight=False)
    else:
        stdout().print(
            f"[bold]{output}[/bold]: {report.seconds:.1f} s, {report.frames} pictures; "
            f"the model took {report.realtime_factor:.2f} s for each second of film"
        )

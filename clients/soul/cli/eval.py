"""`soul eval`: what a model can do on faces, voices and sentences that training never saw.

The command and what it prints; the takes, the rollout and the figures are `training.evaluate`'s.
"""

import json
import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler

from soul.cli.bench.machine import describe
from soul.cli.console import BAD_INPUT, fail, stderr
from soul.cli.plan import DEFAULTS
from soul.cli.train import need_extra, need_voices
from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT

CHUNK_SECONDS = FRAMES_PER_LATENT / FRAME_RATE


def evaluate(
    model: Annotated[
        str, typer.Option(help="A shipped model's name, or a folder with weights.")
    ] = DEFAULTS.model,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A folder; it gets report.json and trials.png.")
    ] = Path("eval"),
    trials: Annotated[int, typer.Option(help="Takes, each of another person.", min=1)] = 12,
    seconds: Annotated[
        float, typer.Option(help="How long each take lasts: whole chunks of 160 ms.")
    ] = 9.6,
    seed: Annotated[
        int, typer.Option(help="Which takes are drawn; the same seed draws the same.", min=0)
    ] = 120_001,
) -> None:
    """Measure a model on people, voices and sentences that training never saw.

    Draws takes of the project's own illustrated world, lets the model speak them as in a live
    call, and reads mouth and lids from its pictures with a small trained eye. Prints one JSON
    object with the machine: above all mouth_correlation and mouth_lag_frames (does the mouth follow
    the sound, and how late), closed_in_silence, blinks_shown and smudged. trials.png shows, take by
    take, the portrait and eight frames of it. Needs the training extra, espeak-ng and flite.

    Examples:

      soul eval

      soul eval --model runs/mini/model --trials 4 --out runs/mini/eval
    """
    chunks = whole_chunks(seconds)
    need_extra("eval")
    need_voices("eval")
    machine = asdict(describe())  # first: the load is that of before
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=stderr())]
    )
    figures = measure(model, out, trials, chunks, seed)
    told = {"machine": machine, "model": model, "seconds": seconds, "seed": seed}
    typer.echo(json.dumps({**told, **figures}, indent=2, ensure_ascii=False))


def whole_chunks(seconds: float) -> int:
    """How many chunks `seconds` are; ends the command if that is no whole number."""
    chunks = round(seconds / CHUNK_SECONDS) if math.isfinite(seconds) else 0
    if chunks < 1 or abs(chunks * CHUNK_SECONDS - seconds) > 1e-6:
        fail(
            f"--seconds {seconds:g} is not a whole number of chunks; "
            f"expected a multiple of {CHUNK_SECONDS:g}, such as 9.6",
            BAD_INPUT,
        )
    return chunks


def measure(model: str, out: Path, trials: int, chunks: int, seed: int) -> dict[str, object]:
    """The figures; trouble ends the command with one sentence."""
    from soul.model.load import WeightsError, load
    from soul.training.evaluate import TrialConfig
    from soul.training.evaluate import evaluate as judge
    from soul.training.probe import SHIPPED, ProbeError, load_probe
    from soul.training.speech import SpeechError

    try:
        return judge(load(model), load_probe(SHIPPED), TrialConfig(trials, chunks, seed), out)
    except ValueError as error:
        fail(str(error), BAD_INPUT)
    except (WeightsError, ProbeError, SpeechError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename} cannot be written: {error.strerror}")

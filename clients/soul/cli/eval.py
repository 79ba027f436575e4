"""`soul eval`: what a model can do on faces, voices and sentences that training never saw.

The command and what it prints; the takes, the rollout and the figures are `training.evaluate`'s.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soul.cli.bench.machine import describe
from soul.cli.console import BAD_INPUT, fail
from soul.cli.extras import need_extra
from soul.cli.plan import DEFAULTS
from soul.cli.train import need_voices, tell_progress
from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT

if TYPE_CHECKING:
    from soul.training.recorded import Recording

CHUNK_SECONDS = FRAMES_PER_LATENT / FRAME_RATE


def evaluate(
    model: Annotated[
        str, typer.Option(help="A shipped model's name, or a folder with weights.")
    ] = DEFAULTS.model,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A folder; it gets report.json and index.html.")
    ] = Path("eval"),
    trials: Annotated[int, typer.Option(help="Takes, each of another person.", min=1)] = 12,
    seconds: Annotated[
        float, typer.Option(help="How long each take lasts: whole chunks of 160 ms.")
    ] = 9.6,
    seed: Annotated[
        int, typer.Option(help="Which takes are drawn; the same seed draws the same.", min=0)
    ] = 120_001,
    speech: Annotated[
        Path | None,
        typer.Option(
            help="A folder of recordings: NAME.wav with what is said in NAME.txt, or in "
            "NAME.de.txt if that is German.",
        ),
    ] = None,
) -> None:
    """Measure a model on people, voices and sentences that training never saw.

    Draws takes of the project's own illustrated world, lets the model speak them as in a live
    call, and reads lips, lids, brows, gaze and head from its pictures with a small trained eye.
    Prints one JSON object with the machine, and writes it to report.json: above all
    mouth_correlation and mouth_lag_frames (does the mouth follow the sound, and how late),
    mouth_width_correlation, bilabials_closed, closed_in_silence (also under room noise, keyboard
    and music) and blinks_a_minute. "behaviour" holds what it does when it is told something: what
    a prompt asks for, named by judges, prompts that change, and turns to listen; their number
    follows from --trials, and with fewer than six no judge is asked. "bars" holds each figure
    beside its bar, its goal and the ceiling: what the eye reads from the world's own renders of
    the same takes.

    "conditions" holds the lips in the same few takes said plainly, by a child, whispered, shouted
    and sung, and through a bad headset and a lossy call. With --speech, "recorded" holds them on
    recordings of people: each is aligned with its text by means of eSpeak NG, so that there the
    truth is estimated, not seen; how well that works is measured beside it.

    index.html shows it all: figures, plots and video strips, model above truth. trials.png is a
    sheet of every take. Needs the training extra, espeak-ng and flite.

    Examples:

      soul eval

      soul eval --model runs/mini/model --trials 4 --out runs/mini/eval

      soul eval --speech recordings
    """
    chunks = whole_chunks(seconds)
    need_extra("eval", "training")
    need_voices("eval")
    recordings = recordings_in(speech) if speech else []
    machine = asdict(describe())  # first: the load is that of before
    tell_progress()
    told = {"machine": machine, "model": model, "seconds": seconds, "seed": seed}
    figures = measure(out, trials, chunks, told, recordings)
    typer.echo(json.dumps(figures, indent=2, ensure_ascii=False))


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


def recordings_in(folder: Path) -> "list[Recording]":
    """All of them; trouble ends the command."""
    from soul.cli.sound import SoundError
    from soul.cli.speech import FolderError, read_recordings

    try:
        return read_recordings(folder)
    except (FolderError, SoundError) as error:
        fail(f"--speech {error}", BAD_INPUT)


def measure(
    out: Path, trials: int, chunks: int, told: dict[str, Any], recordings: "list[Recording]"
) -> dict[str, object]:
    """The figures, of the model and with the seed that `told` names; trouble ends the command."""
    from soul.model.load import WeightsError, load
    from soul.training.alignment import AlignmentError
    from soul.training.evaluate import TrialConfig
    from soul.training.evaluate import evaluate as judge
    from soul.training.probe import SHIPPED, ProbeError, load_probe
    from soul.training.speech import SpeechError

    config = TrialConfig(trials, chunks, told["seed"])
    try:
        return judge(load(told["model"]), load_probe(SHIPPED), config, out, told, recordings)
    except (ValueError, AlignmentError) as error:
        fail(str(error), BAD_INPUT)
    except (WeightsError, ProbeError, SpeechError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename} cannot be written: {error.strerror}")

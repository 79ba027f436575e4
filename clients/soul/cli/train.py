"""`soul train`: from nothing to weights that serve. Knows the recipe's stages by name only."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.logging import RichHandler

from soul.cli.console import BAD_INPUT, fail, stderr, stdout
from soul.cli.extras import need_extra

if TYPE_CHECKING:
    from soul.training.recipe import Recipe

DEVICES = ("cpu", "cuda")


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder; it is resumed.")],
    stages: Annotated[
        str, typer.Option(help="Which stages, separated by commas; all of them if not given.")
    ] = "",
    minutes: Annotated[
        float | None,
        typer.Option(
            help="End each training stage after this long; by steps if not given.", min=0.01
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Which model: soul-mini, or soul-mini-512 with larger pictures.")
    ] = "soul-mini",
    origin: Annotated[
        str,
        typer.Option("--from", help="A model to begin with: a shipped model's name, or a folder."),
    ] = "",
    seed: Annotated[
        int,
        typer.Option(
            help="Of weights, batches and noise; clips, voices and trials have their own.", min=0
        ),
    ] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads, and processes that draw.", min=1)] = 2,
    small: Annotated[
        bool, typer.Option(help="A run of minutes that proves the path, not the model.")
    ] = False,
    device: Annotated[
        str, typer.Option(help="Where it trains: cpu or cuda. cuda has not been verified.")
    ] = "cpu",
) -> None:
    """Train a model from nothing: its world, its latent space, teacher, student, weights.

    With --from it begins with a model's weights: the encoder is kept, the rest learns on, in a
    third of the time.

    Stages, in order: bank (draws the clips), listener, reader, autoencoder, encode, codebook,
    teacher, student, match, recode, light, full, export, probe, identity, evaluate. Stop it
    whenever you like: bank, listener, reader, autoencoder, teacher, student, match, light and full
    go on where they were, the others start over (minutes each), and one that is done is not run
    again. While they run, look at curves.png in their folders and at samples.png in all of these
    but the bank's, the listener's and the reader's, or point TensorBoard at the run.

    Examples:

      soul train --out runs/mini

      soul train --out runs/mini --stages bank,listener --minutes 10

      soul train --from soul-mini --out runs/further

      soul train --model soul-mini-512 --out runs/larger --device cuda

      soul serve --model runs/mini/model
    """
    need_extra("train", "training")
    need_device(device)
    from soul.training.recipe import STAGES, continued, limited
    from soul.training.recipe import small as smaller

    tell_progress()
    recipe = replace(
        known_recipe(model), seed=seed, threads=threads, processes=threads, device=device
    )
    if origin:
        recipe = continued(recipe, origin)
    if small:
        recipe = smaller(recipe)
    if minutes is not None:
        recipe = limited(recipe, minutes)
    chosen = tuple(name.strip() for name in stages.split(",") if name.strip()) or STAGES
    run_stages(out, recipe, chosen)
    stdout().print(f"Done: {out}")


def tell_progress() -> None:
    """Lines of what trains go to stderr."""
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=stderr())]
    )


def known_recipe(model: str) -> "Recipe":
    """The recipe for a model's name; ends the command with one sentence if there is none."""
    from soul.training.recipe import TRAINED, recipe_of

    if model not in TRAINED:
        fail(f"--model {model!r} is not known; expected {' or '.join(TRAINED)}", BAD_INPUT)
    return recipe_of(TRAINED[model])


def run_stages(out: Path, recipe: "Recipe", chosen: tuple[str, ...]) -> None:
    """Run them; trouble ends the command with one sentence."""
    from soul.model.load import WeightsError
    from soul.training.probe import ProbeError
    from soul.training.recipe import VOICED, MissingStage, run, undone
    from soul.training.speech import SpeechError

    speaking = [stage for stage in undone(out, chosen) if stage in VOICED]
    if speaking:
        need_voices(f"stage {speaking[0]}")
    try:
        run(out, recipe, chosen)
    except ValueError as error:
        fail(str(error), BAD_INPUT)
    except (WeightsError, MissingStage, ProbeError, SpeechError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or out} cannot be used: {error.strerror}")


def need_device(device: str) -> None:
    """Ends the command with one sentence if torch cannot train on `device`."""
    if device not in DEVICES:
        fail(f"--device {device!r} is not known; expected {' or '.join(DEVICES)}", BAD_INPUT)
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        fail("--device cuda: no NVIDIA GPU answers here; expected one, or --device cpu", BAD_INPUT)


def need_voices(purpose: str) -> None:
    """Ends the command with one sentence if a synthesiser is not installed."""
    from soul.training.speech import missing

    if lacking := missing():
        names = " ".join(lacking)
        fail(f"{purpose} needs the voices of {names}: install them with apt-get install {names}")

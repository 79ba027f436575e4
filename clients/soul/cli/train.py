"""`soul train`: from nothing to weights that serve. Knows the recipe's stages by name only."""

import importlib.util
import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler

from soul.cli.console import BAD_INPUT, fail, stderr, stdout

NEEDED = {
    "skia": "skia-python",
    "scipy": "scipy",
    "matplotlib": "matplotlib",
    "tensorboard": "tensorboard",
}


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder; it is resumed.")],
    stages: Annotated[
        str, typer.Option(help="Which stages, separated by commas; all of them if not given.")
    ] = "",
    minutes: Annotated[
        float | None,
        typer.Option(help="End each training stage after this long; by steps if not given."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            help="Of weights, batches and noise; clips, voices and trials have their own."
        ),
    ] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads, and processes that draw.")] = 2,
    small: Annotated[
        bool, typer.Option(help="A run of minutes that proves the path, not the model.")
    ] = False,
) -> None:
    """Train `soul-mini` from nothing: its world, its latent space, teacher, student, weights.

    Stages, in order: bank (draws the clips), listener, autoencoder, encode, codebook, teacher,
    student, recode, light, export, probe, evaluate. Stop it whenever you like: a stage goes on
    from its last checkpoint, and one that is done is not run again. Look at samples.png and
    curves.png in each stage's folder while it runs, or point TensorBoard at the run.

    Examples:

      soul train --out runs/mini

      soul train --out runs/mini --stages bank,listener --minutes 10

      soul serve --model runs/mini/model
    """
    need_extra("training")
    from soul.model.load import WeightsError
    from soul.training.recipe import STAGES, MissingStage, Recipe, limited, run
    from soul.training.recipe import small as smaller

    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=stderr())]
    )
    recipe = replace(Recipe(), seed=seed, threads=threads, processes=threads)
    if small:
        recipe = smaller(recipe)
    if minutes is not None:
        recipe = limited(recipe, minutes)
    chosen = tuple(name.strip() for name in stages.split(",") if name.strip()) or STAGES
    try:
        run(out, recipe, chosen)
    except ValueError as error:
        fail(str(error), BAD_INPUT)
    except (WeightsError, MissingStage) as error:
        fail(str(error))
    stdout().print(f"Done: {out}")


def need_extra(purpose: str) -> None:
    """Ends the command with one sentence if the training extra is not installed."""
    missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        fail(f"{purpose} needs {names}: install it with pip install 'soul-live[training]'")


def need_voices(purpose: str) -> None:
    """Ends the command with one sentence if a synthesiser is not installed."""
    from soul.training.speech import missing

    if lacking := missing():
        names = " ".join(lacking)
        fail(f"{purpose} needs the voices of {names}: install them with apt-get install {names}")

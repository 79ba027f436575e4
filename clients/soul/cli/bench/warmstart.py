"""`soul bench warmstart`: learning curves with and without the audio layers' warm start.

Opens a run's latents, keeps the folder and lays out; `training.warmstart` trains and measures.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from soul.cli.bench.machine import Machine
from soul.cli.bench.server import BenchError
from soul.cli.console import stderr
from soul.model.sample import build
from soul.training.evaluate import finite
from soul.training.runs import RunError, open_run
from soul.training.warmstart import Twin, TwinConfig, compare, draw, verdict


@dataclass(frozen=True, slots=True)
class WarmStartOptions:
    """What the command was told, and where."""

    machine: Machine
    run: Path
    out: Path
    steps: int
    device: str
    threads: int


def bench_warmstart(options: WarmStartOptions) -> dict[str, Any]:
    """The comparison, also as curves.json and curves.png; BenchError if it cannot be made."""
    torch.set_num_threads(options.threads)
    try:
        run = open_run(options.run, options.device)
        recipe, data = run.recipe, run.latents()
        config = TwinConfig(options.steps, seed=recipe.seed)
        model = build(recipe.model, recipe.seed).to(options.device)
        options.out.mkdir(parents=True, exist_ok=True)
        both = compare(model, data, recipe.teacher, config, options.out)
    except FileNotFoundError as error:
        raise BenchError(
            f"{options.run} lacks {error.filename}; expected the stages bank, listener, "
            "autoencoder and encode of that run done"
        ) from error
    except (RunError, ValueError, OSError) as error:
        raise BenchError(str(error)) from error
    report = {
        "machine": asdict(options.machine),
        "run": str(options.run),
        "model": recipe.model.name,
        "device": options.device,
        "threads": options.threads,
        "clips": len(data.prompts),
        **asdict(config),
        "warm_start": recipe.teacher.warm_start,
        "batch": recipe.teacher.batch,
        "verdict": verdict(*both),
        "curves": {twin.name: twin.curves for twin in both},
    }
    (options.out / "curves.json").write_text(json.dumps(finite(report), indent=2) + "\n")
    draw(both, options.out / "curves.png")
    stderr().print(laid_out(both))
    return {name: value for name, value in finite(report).items() if name != "curves"}


def laid_out(both: tuple[Twin, Twin]) -> Table:
    """The verdict for a reader."""
    table = Table(title="what the warm start of audio layers is worth")
    for name in ("loss", "audio layers", "at the end", "as low as the other's end after"):
        table.add_column(name, justify="right" if name == "at the end" else "left")
    for curve, of in verdict(*both).items():
        for name, found in of.items():
            after = found["steps_to_the_others_final"]
            table.add_row(
                curve, name, f"{found['final']:.4f}", "never" if after is None else f"{after} steps"
            )
    return table

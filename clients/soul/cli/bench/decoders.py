"""`soul bench decoders`: the light decoder guided by the portrait, against one that is not.

Opens a run's encoder, bank and judges, keeps the folder and lays out; `training.decoders` trains
and measures.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from soul.cli.bench.machine import Machine
from soul.cli.bench.server import BenchError
from soul.cli.console import stderr
from soul.training import identity, probe
from soul.training.dataset import open_bank
from soul.training.decoders import (
    GUIDED,
    UNGUIDED,
    Entry,
    Rival,
    judge_all,
    show,
    train_both,
)
from soul.training.evaluate import finite
from soul.training.recipe import IDENTITY, PROBE, SAID, Run
from soul.training.runs import RunError, open_run
from soul.training.speech import SpeechError
from soul.training.table import TableConfig

FULL = "full"


@dataclass(frozen=True, slots=True)
class DecoderOptions:
    """What the command was told, and where."""

    machine: Machine
    run: Path
    out: Path
    minutes: float
    device: str
    threads: int
    table: TableConfig


def bench_decoders(options: DecoderOptions) -> dict[str, Any]:
    """The comparison, also as decoders.json and decoders.png; BenchError if it cannot be made."""
    torch.set_num_threads(options.threads)
    try:
        run = open_run(options.run, options.device)
        eye = identity.load_identity(judge_of(run, IDENTITY, identity.SHIPPED))
        reader = probe.load_probe(judge_of(run, PROBE, probe.SHIPPED))
        options.out.mkdir(parents=True, exist_ok=True)
        rivals, trained = train(run, options)
        model = run.recipe.model
        judges = reader.to(options.device), eye.to(options.device)
        entries = judge_all(rivals, model.vae, model.side, *judges, options.table)
        show(lights(rivals), model.side, options.table, options.out / "decoders.png")
    except FileNotFoundError as error:
        raise BenchError(
            f"{options.run} lacks {error.filename}; expected the stages bank, autoencoder "
            "and full of that run done"
        ) from error
    except (
        RunError, probe.ProbeError, identity.IdentityError, SpeechError, ValueError, OSError,
    ) as error:  # fmt: skip
        raise BenchError(str(error)) from error
    report = {
        "machine": asdict(options.machine),
        "run": str(options.run),
        "model": model.name,
        "device": options.device,
        "threads": options.threads,
        "seed": run.recipe.seed,
        "minutes": options.minutes,
        **trained,
        "takes": options.table.takes,
        "chunks": options.table.chunks,
        "takes_seed": options.table.seed,
        "rows": [asdict(entry) for entry in entries],
        "times_fewer_macs": times_fewer(entries),
    }
    found: dict[str, Any] = finite(report)
    (options.out / "decoders.json").write_text(json.dumps(found, indent=2) + "\n")
    stderr().print(laid_out(entries))
    return found


def judge_of(run: Run, name: str, shipped: Path) -> Path:
    """The run's own judge, or the shipped one if the run has not come that far."""
    own = run.folder / name
    return own if own.exists() else shipped


def train(run: Run, options: DecoderOptions) -> tuple[dict[str, Rival], dict[str, Any]]:
    """The run's full decoder and both light ones; and what is to be told of their training."""
    recipe, whole = run.recipe, run.full_painter()
    said = run.folder / SAID
    recoded = np.load(said, mmap_mode="r") if said.exists() else None
    length = replace(recipe.full.length, minutes=options.minutes)
    painters, steps = train_both(
        whole.encoder,
        recipe.model.vae,
        open_bank(run.folder / "bank"),
        replace(recipe.full, length=length),
        options.out,
        recipe.seed,
        recoded,
    )
    rivals = {FULL: whole, **painters}
    told = {"steps": steps, "batch": recipe.full.batch, "students_latents": recoded is not None}
    return {name: Rival(p.encoder, p.decoder) for name, p in rivals.items()}, told


def lights(rivals: dict[str, Rival]) -> dict[str, Rival]:
    """The two that are compared."""
    return {name: rivals[name] for name in (GUIDED, UNGUIDED)}


def times_fewer(entries: list[Entry]) -> dict[str, float]:
    """How many times fewer multiply-accumulates the light ones need than the full one."""
    costs = {entry.name: entry.macs for entry in entries if entry.macs is not None}
    return {name: round(costs[FULL] / costs[name], 2) for name in (GUIDED, UNGUIDED)}


def laid_out(entries: list[Entry]) -> Table:
    """The rows for a reader."""
    table = Table(title="what the portrait's guidance is worth to the light decoder")
    for name in ("decoder", "MACs a latent", "PSNR", "SSIM", "sharpness", "identity", "lips"):
        table.add_column(name, justify="left" if name == "decoder" else "right")
    for entry in entries:
        worth = entry.quality
        table.add_row(
            entry.name, "–" if entry.macs is None else f"{entry.macs / 1e6:.0f} M",
            f"{worth.psnr:.1f} dB", f"{worth.ssim:.3f}", f"{worth.sharpness:.2f}",
            f"{worth.identity:.4f}", f"{worth.mouth_correlation:.3f}",
        )  # fmt: skip
    return table

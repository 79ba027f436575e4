"""`soul bench recipe`: the paper's table for this machine. Loads and lays out; `training.table`
measures."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from soul.cli.bench.server import BenchError
from soul.cli.console import stderr
from soul.model.load import WeightsError, load
from soul.training import baseline, identity, probe
from soul.training.speech import SpeechError
from soul.training.table import Row, TableConfig, table, ways, worst_loss


def bench_recipe(
    weights: str, against: Path, device: str, threads: int, config: TableConfig
) -> dict[str, Any]:
    """The table as rows; BenchError if it cannot be measured."""
    torch.set_num_threads(threads)
    try:
        student = load(weights, device)
        teacher = baseline.load_baseline(student, against)
        judge = probe.load_probe(probe.SHIPPED).to(device)
        eye = identity.load_identity(identity.SHIPPED).to(device)
        rows = table(ways(student, teacher, config), judge, eye, config, time.perf_counter)
    except (WeightsError, probe.ProbeError, identity.IdentityError, SpeechError) as error:
        raise BenchError(str(error)) from error
    stderr().print(laid_out(rows))
    return {
        "model": weights,
        "device": device,
        "threads": threads,
        **asdict(config),
        "rows": [{**asdict(row), "worst_loss": worst_loss(row, rows[0])} for row in rows],
    }


def laid_out(rows: list[Row]) -> Table:
    """The rows for a reader."""
    found = Table(title="what distillation and the light decoder save")
    names = (
        "", "a chunk of 160 ms", "speedup", "lips", "closed", "identity", "PSNR", "SSIM",
        "sharpness", "worst loss",
    )  # fmt: skip
    for name in names:
        found.add_column(name, justify="right" if name else "left")
    for row in rows:
        worth = row.quality
        found.add_row(
            row.name, f"{row.chunk_ms:.0f} ms", f"{row.speedup:.1f} x",
            f"{worth.mouth_correlation:.3f}", f"{worth.closed_in_silence:.3f}",
            f"{worth.identity:.3f}", f"{worth.psnr:.1f} dB", f"{worth.ssim:.3f}",
            f"{worth.sharpness:.2f}", f"{100 * worst_loss(row, rows[0]):.1f} %",
        )  # fmt: skip
    return found

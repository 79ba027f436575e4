"""What a person watching a training run sees: lines with the time left, curves, TensorBoard."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

matplotlib.use("Agg")
from matplotlib import pyplot as plt

log = logging.getLogger("soul.training")


@dataclass(frozen=True, slots=True)
class Length:
    """How long a stage is. `steps` reproduce a run; `minutes`, if given, ends it earlier."""

    steps: int
    minutes: float | None = None


@dataclass
class Progress:
    """Counts steps, says how far a stage is in [0, 1], and writes curves as it goes."""

    stage: str
    folder: Path
    length: Length
    every: int = 50
    step: int = 0
    spent: float = 0.0  # seconds, kept over a resume
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.writer = SummaryWriter(str(self.folder / "tensorboard"))
        self.pending: dict[str, list[float]] = {}
        self.since = 0.0, 0.0  # fraction and seconds at which this run took over

    @property
    def fraction(self) -> float:
        """How much of the stage is done, by steps or by time, whichever is further."""
        by_time = 0.0 if self.length.minutes is None else self.spent / (60 * self.length.minutes)
        return min(1.0, max(self.step / self.length.steps, by_time))

    @property
    def minutes_left(self) -> float:
        """At the pace of this run, whatever the machine did before a resume."""
        fraction, spent = self.since
        done = max(self.fraction - fraction, 1e-6)
        return (self.spent - spent) * (1 - self.fraction) / done / 60

    def run(self) -> Iterator[int]:
        """The steps that are left. One under way counts: what is saved within it includes it."""
        self.since = self.fraction, self.spent
        while self.fraction < 1:
            began = time.monotonic()
            self.step += 1
            yield self.step - 1
            self.spent += time.monotonic() - began

    def add(self, **values: float) -> None:
        """Count one step's figures; every so often their means are written."""
        for name, value in values.items():
            self.pending.setdefault(name, []).append(value)
        if max(map(len, self.pending.values())) >= self.every:
            self.report()

    def kept(self) -> dict[str, Any]:
        """How far it is, as plain values for a checkpoint."""
        return {"step": self.step, "spent": self.spent, "curves": self.curves}

    def take_up(self, values: Mapping[str, Any]) -> None:
        """Go on from what `kept` told; KeyError if something is missing."""
        self.step, self.spent = values["step"], values["spent"]
        self.curves = {
            name: [tuple(p) for p in points] for name, points in values["curves"].items()
        }

    def report(self) -> None:
        means = {name: sum(seen) / len(seen) for name, seen in self.pending.items()}
        self.pending = {}
        for name, value in means.items():
            self.curves.setdefault(name, []).append((self.step, value))
            self.writer.add_scalar(f"{self.stage}/{name}", value, self.step)
        figures = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        log.info("%s  step %d  %.0f %%  %.0f min left  %s", self.stage, self.step,
                 100 * self.fraction, self.minutes_left, figures)  # fmt: skip

    def plot(self) -> None:
        """Curves as one PNG and one JSON."""
        if not self.curves:
            return
        (self.folder / "curves.json").write_text(json.dumps(self.curves))
        figure, axes = plt.subplots(
            1, len(self.curves), figsize=(4 * len(self.curves), 3), squeeze=False
        )
        for axis, (name, points) in zip(axes[0], self.curves.items(), strict=True):
            axis.plot(*zip(*points, strict=True))
            axis.set_title(f"{self.stage}: {name}")
            axis.set_xlabel("step")
        figure.tight_layout()
        figure.savefig(self.folder / "curves.png", dpi=110)
        plt.close(figure)


def learning_rate(fraction: float, peak: float, warmup: float = 0.03) -> float:
    """Linear warm-up, then a cosine to a hundredth of `peak`."""
    if fraction < warmup:
        return peak * fraction / warmup
    return peak * float(
        0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * (fraction - warmup) / (1 - warmup)))
    )


def sheet(rows: list[list[np.ndarray]], path: Path) -> None:
    """Rows of equally large RGB pictures, as one PNG to look at."""
    Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in rows], 0)).save(path)

"""The folder of a long measurement: what is known is on disk at once, so nothing can be lost.

settings.json, minutes.jsonl (a line a minute), minute-NNNN.png (some minutes' last picture),
sheet.png, curves.png and report.json. Knows no model.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from soul.cli.bench.server import BenchError
from soul.training.drift import Minute, flat
from soul.training.evaluate import finite

PICTURES = 60  # at most, however long it takes
COLUMNS = 10
SHOWN = (
    "identity_distance",
    "identity_distance_to_portrait",
    "tint.picture",
    "delta_e.picture",
    "lip_correlation",
    "closed_in_silence",
    "sharpness",
    "pulled_back",
)
SETTINGS, LINES, REPORT = "settings.json", "minutes.jsonl", "report.json"


@dataclass
class Diary:
    """One measurement's folder. `minutes` is how many it shall have."""

    folder: Path
    minutes: int
    series: dict[str, list[Minute]] = field(default_factory=dict)

    def due(self, minute: int) -> bool:
        """Whether a minute, from 1, is one of those that are kept as a picture."""
        return (minute - 1) % math.ceil(self.minutes / PICTURES) == 0 or minute == self.minutes

    def open(self, settings: dict[str, Any]) -> None:
        """Make the folder; BenchError if it holds a measurement with other `settings`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        note = self.folder / SETTINGS
        if note.exists() and (was := read_json(note)) != settings:
            names = [n for n in {**settings, **was} if was.get(n) != settings.get(n)]
            raise BenchError(
                f"{self.folder} holds a measurement with {names[0]} {was.get(names[0])!r}, this "
                f"one has {settings.get(names[0])!r}; expected the same, or another folder"
            )
        note.write_text(json.dumps(settings, indent=2) + "\n")

    def begin(self, label: str, minutes: int) -> list[Minute]:
        """The first `minutes` of what was written; all later lines are dropped."""
        path = self.folder / LINES
        lines = path.read_text().splitlines()[:minutes] if path.exists() else []
        if len(lines) < minutes:
            raise BenchError(f"{path} has {len(lines)} minutes, expected at least {minutes}")
        path.write_text("".join(f"{line}\n" for line in lines))
        self.series = {label: [minute_of(json.loads(line)) for line in lines]}
        return list(self.series[label])

    def write(self, label: str, minute: Minute, picture: NDArray[np.uint8] | None = None) -> None:
        """A line, and of a minute that is due the picture."""
        self.series.setdefault(label, []).append(minute)
        with (self.folder / LINES).open("a") as file:
            file.write(json.dumps({"of": label, **finite(asdict(minute))}) + "\n")
        if picture is not None and self.due(minute.minute):
            Image.fromarray(picture).save(self.folder / f"minute-{minute.minute:04d}.png")

    def finish(self, report: dict[str, Any]) -> None:
        """The report, the last curves and the sheet."""
        (self.folder / REPORT).write_text(json.dumps(finite(report), indent=2) + "\n")
        self.draw()
        pictures = [np.asarray(Image.open(p)) for p in sorted(self.folder.glob("minute-*.png"))]
        if pictures:
            Image.fromarray(sheet(pictures)).save(self.folder / "sheet.png")

    def draw(self) -> None:
        """curves.png: a panel a figure, a line a series. Not for every minute."""
        figure = Figure(figsize=(14, 6))
        figure.subplots_adjust(0.04, 0.08, 0.86, 0.94, 0.25, 0.4)
        for axis, name in zip(figure.subplots(2, 4).flat, SHOWN, strict=True):
            for label, minutes in self.series.items():
                axis.plot([m.minute for m in minutes], [flat(m)[name] for m in minutes],
                          label=label, linewidth=1)  # fmt: skip
            axis.set_title(name, fontsize=9)
            axis.set_xlabel("minute", fontsize=8)
        if len(self.series) > 1:
            figure.legend(*axis.get_legend_handles_labels(), loc="upper right", fontsize=8)
        figure.savefig(self.folder / "curves.png", dpi=100)


def sheet(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Equally large pictures [H, W, 3] in lines of ten, the last filled up with white."""
    blank = np.full_like(pictures[0], 255)
    short = -len(pictures) % min(COLUMNS, len(pictures))
    cells = [*pictures, *[blank] * short]
    wide = min(COLUMNS, len(pictures))
    lines = [np.concatenate(cells[n : n + wide], 1) for n in range(0, len(cells), wide)]
    return np.concatenate(lines, 0)


def minute_of(line: dict[str, Any]) -> Minute:
    """A minute from its line; None is nan again."""
    values = {name: value for name, value in line.items() if name != "of"}
    for name, value in values.items():
        if isinstance(value, dict):
            values[name] = {n: math.nan if v is None else v for n, v in value.items()}
        elif value is None:
            values[name] = math.nan
    return Minute(**values)


def read_json(path: Path) -> dict[str, Any]:
    """BenchError if there is none in `path`."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise BenchError(f"{path} cannot be read as JSON, expected settings") from error
    return found

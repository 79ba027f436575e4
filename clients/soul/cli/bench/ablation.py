"""`soul bench drift --ablation`: what the codebook is worth, as one table, and what it costs.

The entries and their figures are `training.ablation`'s; here they are told, kept and laid out.
"""

import time
from typing import Any

from rich.table import Table

from soul.cli.bench.diary import LINES, Diary
from soul.cli.bench.drift import DriftOptions, Prepared, heading, prepare, settings_of, tell
from soul.cli.bench.server import BenchError
from soul.cli.console import stderr
from soul.training.ablation import Entry, ablate, entries, rows
from soul.training.evaluate import finite
from soul.training.speech import SpeechError
from soul.training.variants import Damage


def bench_ablation(options: DriftOptions, damage: Damage) -> dict[str, Any]:
    """The table as rows; BenchError if it cannot be measured. Starts over in a folder in use."""
    ready = prepare(options)
    diary = None if options.out is None else Diary(options.out, options.minutes)
    spoilt = {"noise_in_context": damage.noise, "weights_off": damage.weights}
    try:
        if diary is not None:
            diary.open({**settings_of(options, ready.subject), "ablation": spoilt})
            (diary.folder / LINES).write_text("")
        table = fill(ready, damage, diary)
    except (SpeechError, OSError) as error:
        raise BenchError(str(error)) from error
    found: list[dict[str, Any]] = finite(rows(table, ready.config.chunks))
    report = {
        **heading(options, ready.subject),
        "length_minutes": options.minutes,
        "damage": spoilt,
        "rows": found,
    }
    if diary is not None:
        diary.finish(report)
    stderr().print(laid_out(found))
    return report


def fill(ready: Prepared, damage: Damage, diary: Diary | None) -> list[Entry]:
    """Every entry with all its minutes."""
    config, seconds, began = ready.config, time.perf_counter, time.perf_counter()
    table = entries(ready.model, ready.subject, damage, config.seed, seconds)
    work = config.minutes * len(table)
    steps = enumerate(ablate(table, ready.subject, ready.judges, config, seconds), 1)
    for done, (entry, minute) in steps:
        if diary is not None:
            diary.write(entry.label, minute)
            if entry is table[-1] and diary.due(minute.minute):
                diary.draw()
        left = (time.perf_counter() - began) / done * (work - done)
        tell(entry.label, minute, config.minutes, left)
    return table


def laid_out(found: list[dict[str, Any]]) -> Table:
    """The rows for a reader: last minute, and the slope an hour with its standard error."""
    table = Table(title="what the codebook is worth: last minute")
    for name in (
        "student", "codebook", "identity to minute 1", "slope an hour", "to the portrait",
        "tint", "ΔE", "lips", "pulled back", "by", "of a chunk's time",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name in ("student", "codebook") else "right")
    for row in found:
        last, slope = row["last_minute"], row["slope_per_hour"]["identity_distance"]
        table.add_row(
            row["student"],
            row["codebook"],
            told(last["identity_distance"], 4),
            f"{told(slope['slope'], 3)} ± {told(slope['error'], 3)}",
            told(last["identity_distance_to_portrait"], 4),
            told(last["tint.picture"], 2),
            told(last["delta_e.picture"], 2),
            told(last["lip_correlation"], 3),
            told(last["pulled_back"], 4),
            told(last["pull_size"], 2),
            told(100 * row["codebook_share"], 2) + " %",
        )
    return table


def told(value: float | None, digits: int) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"

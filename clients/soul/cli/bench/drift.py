"""`soul bench drift`: does the person in one stream stay who they were, for hours?

Loads models and eyes, says how far it is, and keeps the folder; takes, rollout and figures are
`training.drift`'s. Knows no session and no browser.
"""

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from soul.cli.bench.diary import Diary
from soul.cli.bench.machine import Machine
from soul.cli.bench.server import BenchError
from soul.cli.console import stderr
from soul.media.portrait import PortraitError, read_portrait_file
from soul.model.load import WEIGHTS, WeightsError, folder_of, load
from soul.model.sample import Soul, StreamState, open_stream
from soul.model.vae import from_bytes
from soul.training import identity, probe
from soul.training.drift import (
    CHUNKS_A_MINUTE,
    DriftConfig,
    Judges,
    Minute,
    Subject,
    Takes,
    drawn_subject,
    figures,
    first_of,
    live_minute,
    summary,
)
from soul.training.evaluate import finite
from soul.training.snapshot import Snapshot, SnapshotError, keep, resume
from soul.training.speech import SpeechError
from soul.training.variants import Watched

STREAM = "stream.pt"
LABEL = "stream"


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """What the command was told, and where."""

    machine: Machine
    model: str
    device: str
    threads: int
    minutes: int
    seed: int
    portrait: Path | None
    out: Path | None


@dataclass(frozen=True)
class Prepared:
    """What is measured, and by whom."""

    model: Soul
    subject: Subject
    judges: Judges
    config: DriftConfig


def prepare(options: DriftOptions) -> Prepared:
    """Load everything; BenchError if it cannot begin."""
    torch.set_num_threads(options.threads)
    config = DriftConfig(options.minutes, options.seed, CHUNKS_A_MINUTE)
    try:
        model = load(options.model, options.device)
        eye = probe.load_probe(probe.SHIPPED).to(options.device)
        embedding = identity.load_identity(identity.SHIPPED).to(options.device)
        if options.portrait is None:
            subject = drawn_subject(config, model.config.side)
        else:
            still = read_portrait_file(options.portrait, model.config.side)
            subject = Subject(options.portrait.name, still)
        eye.read(subject.portrait[None])  # a size that it cannot read is told before hours begin
    except (
        WeightsError, probe.ProbeError, identity.IdentityError, PortraitError, OSError, ValueError,
    ) as error:  # fmt: skip
        raise BenchError(str(error)) from error
    return Prepared(model, subject, Judges(eye, embedding), config)


def bench_drift(options: DriftOptions) -> dict[str, Any]:
    """A line of figures a minute, and what they come to; BenchError if it cannot be measured."""
    ready = prepare(options)
    diary = None if options.out is None else Diary(options.out, options.minutes)
    try:
        minutes = run(ready, diary, settings_of(options, ready.subject))
    except (SpeechError, SnapshotError, OSError) as error:
        raise BenchError(str(error)) from error
    report = {
        **heading(options, ready.subject),
        "length_minutes": len(minutes),
        **summary(minutes, ready.config.chunks),
        "minutes": [asdict(minute) for minute in minutes],
    }
    if diary is not None:
        diary.finish(report)
    found: dict[str, Any] = finite(report)
    return found


def run(ready: Prepared, diary: Diary | None, settings: dict[str, Any]) -> list[Minute]:
    """Every minute, from where the diary's stream was left."""
    model, subject, judges, config = ready.model, ready.subject, ready.judges, ready.config
    model.codebook = Watched(model.codebook, time.perf_counter)
    kept = None if diary is None else kept_in(diary, settings, ready)
    minutes = [] if diary is None else diary.begin(LABEL, 0 if kept is None else kept.minutes)
    state = opened(ready) if kept is None else kept.state
    first = None if kept is None else kept.first
    takes, began, done = Takes(config, len(minutes)), time.perf_counter(), len(minutes)
    for number in range(done + 1, config.minutes + 1):
        said, windows = takes.next(model.config)
        seen = live_minute(model, state, windows, judges.probe, time.perf_counter)
        first = first or first_of(seen, judges.embedding)
        minutes.append(figures(number, seen, said, subject, judges.embedding, first))
        if diary is not None:
            diary.write(LABEL, minutes[-1], seen.pictures[-1])
            keep(diary.folder / STREAM, Snapshot(state, first, number))
            if diary.due(number):
                diary.draw()
        a_minute = (time.perf_counter() - began) / (number - done)
        tell(LABEL, minutes[-1], config.minutes, a_minute * (config.minutes - number))
    return minutes


def kept_in(diary: Diary, settings: dict[str, Any], ready: Prepared) -> Snapshot | None:
    """The stream that an earlier run left in the folder, if there is one."""
    diary.open(settings)
    path = diary.folder / STREAM
    if not path.exists():
        return None
    return resume(path, ready.model, ready.subject, ready.config.seed)


@torch.inference_mode()
def opened(ready: Prepared) -> StreamState:
    """A stream that has heard nothing."""
    still = from_bytes(ready.subject.portrait)
    return open_stream(ready.model, still, "", ready.config.seed)


def tell(label: str, minute: Minute, minutes: int, left: float) -> None:
    """One line on stderr; `left` seconds are left."""
    stderr().print(
        f"{label}  minute {minute.minute} of {minutes}  "
        f"identity {minute.identity_distance:.4f}  tint {minute.tint['picture']:.2f}  "
        f"lips {minute.lip_correlation:.3f}  pulled {minute.pulled_back:.4f}  "
        f"{left / 60:.0f} min left",
        highlight=False,
    )


def settings_of(options: DriftOptions, subject: Subject) -> dict[str, Any]:
    """What a measurement that goes on must have in common with its beginning."""
    weights = (folder_of(options.model) / WEIGHTS).read_bytes()
    return {
        "model": options.model,
        "weights": hashlib.sha256(weights).hexdigest(),
        "portrait": hashlib.sha256(subject.portrait.tobytes()).hexdigest(),
        "seed": options.seed,
        "device": options.device,
    }


def heading(options: DriftOptions, subject: Subject) -> dict[str, Any]:
    """What was measured."""
    parts = "known" if subject.parts is not None else "unknown: the portrait is not a drawn one"
    return {
        "machine": asdict(options.machine),
        "model": options.model,
        "device": options.device,
        "threads": options.threads,
        "seed": options.seed,
        "portrait": subject.name,
        "parts": parts,
    }

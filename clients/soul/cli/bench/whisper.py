"""`soul bench whisper`: what a live stream's short hearing costs Whisper's features.

Opens sound and weights and lays out; `model.wan.whisper` computes and compares.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from soul.cli.bench.machine import Machine
from soul.cli.bench.server import BenchError
from soul.cli.bench.sounds import write_speech
from soul.cli.console import stderr
from soul.cli.sound import SoundError, read_sound
from soul.model.load import WeightsError, check_device
from soul.model.wan.whisper import (
    FEATURE_RATE,
    Difference,
    Hearing,
    WhisperSizes,
    compare,
    load,
    network,
    sizes_of,
)
from soul.timebase import AUDIO_RATE

SPOKEN = "three sentences of espeak-ng"


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """What the command was told, and where."""

    machine: Machine
    weights: Path | None  # None: random ones
    layers: int  # of random weights
    seed: int  # of random weights
    sound: Path | None  # None: espeak-ng speaks
    seconds: float  # how much of it
    pasts: tuple[int, ...]  # in features of 20 ms
    lookahead: int
    fps: int
    device: str
    threads: int


def bench_whisper(options: WhisperOptions) -> dict[str, Any]:
    """The differences for each length of context; BenchError if they cannot be measured."""
    torch.set_num_threads(options.threads)
    try:
        check_device(options.device)
        pcm = heard(options.sound)[: int(options.seconds * AUDIO_RATE)].to(options.device)
        net = encoder(options)
        rows = compare(net, pcm, hearings(options, sizes_of(net).positions))
    except (SoundError, WeightsError, ValueError) as error:
        raise BenchError(str(error)) from error
    stderr().print(laid_out(rows))
    if options.weights is None:
        stderr().print("[bold]Random weights[/bold]: these figures tell nothing of a real Whisper.")
    return {
        "machine": asdict(options.machine),
        "weights": "random" if options.weights is None else str(options.weights),
        "seed": options.seed if options.weights is None else None,
        "trained": options.weights is not None,
        "sizes": asdict(sizes_of(net)),
        "sound": SPOKEN if options.sound is None else str(options.sound),
        "seconds": len(pcm) / AUDIO_RATE,
        "fps": options.fps,
        "device": options.device,
        "threads": options.threads,
        "features_per_second": FEATURE_RATE,
        "contexts": [asdict(row) for row in rows],
    }


def encoder(options: WhisperOptions) -> Any:
    """The encoder of the weights, or a random one with large-v3's width."""
    if options.weights is not None:
        return load(options.weights, options.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return network(replace(WhisperSizes(), layers=options.layers)).to(options.device)


def heard(sound: Path | None) -> torch.Tensor:
    """[n] at 16 kHz of the file `sound`, or of a synthetic voice."""
    if sound is not None:
        return torch.from_numpy(read_sound(sound).speech)
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "speech.wav"
        write_speech(spoken)
        return torch.from_numpy(read_sound(spoken).speech)


def hearings(options: WhisperOptions, positions: int) -> list[Hearing]:
    """Each length of past twice: silence up to 30 s behind it, and nothing behind it."""
    filled = [Hearing(past, options.lookahead, positions, options.fps) for past in options.pasts]
    return [form for one in filled for form in (one, replace(one, positions=one.heard))]


def laid_out(rows: Sequence[Difference]) -> Table:
    """The rows for a reader."""
    table = Table(title="what a stream's short hearing costs Whisper's features")
    for name in ("past", "lookahead", "given", "off by", "at most", "cosine"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            seconds(row.past), seconds(row.lookahead), seconds(row.positions),
            f"{100 * row.relative:.2f} %", f"{row.largest:.3g}", f"{row.cosine:.4f}",
        )  # fmt: skip
    return table


def seconds(features: int) -> str:
    return f"{features / FEATURE_RATE:.2f} s"

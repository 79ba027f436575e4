"""`soul bench`: the commands. Each measures, and prints one JSON object with its machine.

Figures go to stdout, everything else to stderr. The rooms that measure are imported only when
asked for: torch and a browser take a moment.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from soul.cli.bench.browser import browser_version
from soul.cli.bench.live import LiveConfig, bench_live
from soul.cli.bench.machine import describe
from soul.cli.bench.server import BenchError
from soul.cli.bench.sessions import bench_sessions
from soul.cli.console import fail, stderr
from soul.web import STATIC

DEFAULTS = LiveConfig()
CHUNKS = 100
SESSIONS = 50
SESSION_SECONDS = 0.5
MINUTES = 10
PORTRAIT = STATIC / "portraits" / "grace.png"

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    help=(
        "Measure this machine.\n\nEach command prints one JSON object, with the machine that it "
        "was measured on. Close other programs first: `machine.load` tells how busy it was."
    ),
)

Model = Annotated[str, typer.Option(help="A shipped model's name, or a folder with weights.")]
Device = Annotated[str, typer.Option(help="Where the model runs: cpu, cuda.")]
Threads = Annotated[int, typer.Option(help="Cores that the model may use.", min=1)]


@app.command("model")
def model(
    model: Model = DEFAULTS.model,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
    chunks: Annotated[int, typer.Option(help="Chunks of 160 ms to compute.", min=2)] = CHUNKS,
) -> None:
    """How long each stage of a chunk takes, and what share of its 160 ms.

    Example:

      soul bench model --chunks 200
    """
    from soul.cli.bench.model import bench_model

    machine = asdict(describe())  # first: the load is that of before
    _print(lambda: {"machine": machine, **bench_model(model, device, threads, chunks)}, "model")


@app.command("live")
def live(
    model: Model = DEFAULTS.model,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
    seconds: Annotated[
        float, typer.Option(help="How long the call with speech lasts.", min=5)
    ] = DEFAULTS.seconds,
    beep_seconds: Annotated[
        float, typer.Option(help="How long the call with beeps lasts.", min=10)
    ] = DEFAULTS.beep_seconds,
) -> None:
    """A call in Chromium on this machine: frames/s, freezes, delays, lips against sound.

    Needs Chromium, Playwright and espeak-ng.

    Example:

      soul bench live --seconds 60
    """
    config = LiveConfig(model, device, threads, seconds, beep_seconds)
    _print(lambda: asyncio.run(_with_browser(bench_live(config))), "live")


@app.command("sessions")
def sessions(
    model: Model = DEFAULTS.model,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
    count: Annotated[int, typer.Option(help="Calls, one after the other.")] = SESSIONS,
    seconds: Annotated[
        float, typer.Option(help="How long each lasts after its first picture.", min=0)
    ] = SESSION_SECONDS,
) -> None:
    """Many short calls, and whether memory, tasks, threads and descriptors stay flat.

    Example:

      soul bench sessions --count 50
    """
    config = LiveConfig(model, device, threads, seconds)
    _print(lambda: asyncio.run(_with_browser(bench_sessions(config, count))), "sessions")


@app.command("drift")
def drift(
    model: Model = DEFAULTS.model,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
    minutes: Annotated[int, typer.Option(help="Minutes of picture to make.", min=2)] = MINUTES,
    portrait: Annotated[
        Path, typer.Option(help="The portrait to animate.", show_default="the built-in grace")
    ] = PORTRAIT,
    sheet: Annotated[
        Path | None, typer.Option(help="A PNG to write: the portrait, then each minute's last.")
    ] = None,
) -> None:
    """Whether a portrait looks the same after many minutes, faster than real time.

    Needs espeak-ng.

    Example:

      soul bench drift --minutes 10 --sheet minutes.png
    """
    from soul.cli.bench.drift import bench_drift

    machine = asdict(describe())
    _print(
        lambda: {
            "machine": machine,
            **bench_drift(model, device, threads, minutes, portrait, sheet),
        },
        "drift",
    )


async def _with_browser(bench: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        machine = asdict(describe(await browser_version()))
    except BenchError:
        bench.close()
        raise
    return {"machine": machine, **await bench}


def _print(measure: Callable[[], dict[str, Any]], name: str) -> None:
    stderr().print(f"Measuring ({name}) …")
    try:
        figures = measure()
    except BenchError as error:
        fail(str(error))
    typer.echo(json.dumps({"bench": name, **figures}, indent=2, ensure_ascii=False))

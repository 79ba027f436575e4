"""`soul bench sessions`: short calls one after the other, and what the server keeps."""

import asyncio
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from soul.cli.bench.browser import press_start, viewing
from soul.cli.bench.live import LiveConfig
from soul.cli.bench.server import BenchError, Resources, Server, serving
from soul.cli.bench.sounds import write_speech

WARM = 5  # sessions after which caches and pools are full
CALM_SECONDS = 1.0
FREE_SECONDS = 20.0


async def bench_sessions(config: LiveConfig, count: int) -> dict[str, Any]:
    """What the server holds after `WARM` and after `count` calls; BenchError if one fails."""
    if count <= WARM:
        raise BenchError(f"{count} sessions were asked for; expected more than {WARM}")
    with tempfile.TemporaryDirectory() as folder:
        speech = Path(folder) / "speech.wav"
        write_speech(speech)
        async with serving(*config.arguments) as server:
            held = await _hold(server, speech, config, count)
    return {"model": config.model, "sessions": count, **compare(held)}


async def _hold(
    server: Server, speech: Path, config: LiveConfig, count: int
) -> dict[int, Resources]:
    """What the server holds after each call, by the number of calls."""
    held = {0: await server.resources()}
    async with viewing(server.url, speech) as page:
        for number in range(1, count + 1):
            await press_start(page)
            await asyncio.sleep(config.seconds)
            await page.get_by_role("button", name="Stop").first.click()
            await _freed(server)
            if number in (WARM, count):
                await asyncio.sleep(CALM_SECONDS)  # it leaves the list first, and is closed then
            held[number] = await server.resources()
    return held


def compare(held: dict[int, Resources]) -> dict[str, Any]:
    """Before the first, after the warm-up and after the last call, and what grew in between.

    A process's memory goes up and down by what its allocator keeps for later; the slope over all
    calls since the warm-up tells whether it grows.
    """
    count = max(held)
    warm, last = asdict(held[WARM]), asdict(held[count])
    calls = range(WARM, count + 1)
    memory = {name: [held[n].memory_of[name] for n in calls] for name in warm["memory_of"]}
    return {
        "before": asdict(held[0]),
        f"after_{WARM}": warm,
        f"after_{count}": last,
        "grown": {name: last[name] - warm[name] for name in warm if name != "memory_of"},
        "memory_slope_bytes_a_session": _slope([held[n].memory_bytes for n in calls]),
        "memory_slope_bytes_a_session_of": {name: _slope(m) for name, m in memory.items()},
        "memory_every_5_of": {name: sizes[::5] for name, sizes in memory.items()},
    }


def _slope(sizes: list[int]) -> int:
    """Of the straight line that fits best, in bytes a call."""
    return round(float(np.polyfit(np.arange(len(sizes)), sizes, 1)[0]))


async def _freed(server: Server) -> None:
    try:
        async with asyncio.timeout(FREE_SECONDS):
            while await server.sessions():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise BenchError(f"a stopped session was still there after {FREE_SECONDS:g} s") from None

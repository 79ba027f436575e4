"""`soul bench live`: a call as its viewer has it, in a real browser on the same machine.

Two calls: one with speech in the microphone, for pictures and delays; one with beeps and a server
that flashes at them, for lips against sound. What is computed from what was seen are pure
functions; nothing here knows how the server works inside.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soul.cli.bench.browser import press_start, probed, viewing
from soul.cli.bench.server import BenchError, Server, serving
from soul.cli.bench.sounds import write_beeps, write_speech

FREEZE_MS = 200.0
BEEPS_SECONDS = 60.0  # the file's; it is repeated
SETTLE_SECONDS = 3.0  # before beeps count: buffers of the browser find their size
FEWEST_BEEPS = 5
LIGHT = 128  # between dark (16) and white (255)
FARTHEST_MS = 450.0  # a flash farther from a beep is another beep's
METHOD_ERROR_MS = 25  # half a refresh, a block, and what WebAudio buffers before it sees a sound

DELAY_IS = (
    "from the moment when a sound's packet reached the server until the picture that it drove was "
    "handed to the network, measured by the server; p50 is the median and p95 the worst of what "
    "the session said every second about its last 10 s"
)
LIPS_ARE = (
    "middle of the flash on the screen minus middle of the beep at the loudspeaker, in the page; "
    "positive: sound early (ITU-R BT.1359-1)"
)
MOUTH_TO_EYE_IS = (
    "middle of the beep in the page's microphone stream until middle of its flash on the screen"
)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """What is measured, and for how long."""

    model: str = "soul-mini"
    device: str = "cpu"
    threads: int = 2
    seconds: float = 60.0
    beep_seconds: float = 20.0

    @property
    def arguments(self) -> tuple[str, ...]:
        """For `soul serve`."""
        return ("--model", self.model, "--device", self.device, "--threads", str(self.threads))


async def bench_live(config: LiveConfig) -> dict[str, Any]:
    """Both calls' figures; BenchError says in one sentence why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        speech, beeps = Path(folder) / "speech.wav", Path(folder) / "beeps.wav"
        write_speech(speech)
        write_beeps(beeps, BEEPS_SECONDS)
        async with serving(*config.arguments) as server:
            call = await watch_call(server, speech, config.seconds)
        async with serving(*config.arguments, "--markers") as server:
            lips = await watch_lips(server, beeps, config.beep_seconds)
    settings = {"model": config.model, "device": config.device, "threads": config.threads}
    return {**settings, **call, "lips": lips}


async def watch_call(server: Server, speech: Path, seconds: float) -> dict[str, Any]:
    """A call with speech: pictures, delays, stages."""
    async with viewing(server.url, speech) as page:
        await press_start(page)
        await probed(page, "watch()")
        heard = [await _figures(server) for _ in range(round(seconds)) if not await _second()]
        pictures = np.array(await probed(page, "pictures()"), float)
        received = await probed(page, "received()")
        first = float(await page.evaluate("__soul.firstFrameMs"))
    return {
        "seconds": seconds,
        "first_picture_ms": round(first, 1),
        "delivered": delivered(pictures),
        "decoded_pictures": received["framesDecoded"],
        "sound_in_to_frame_out_ms": delays(heard),
        "counts": _only(heard[-1], "frames_shown", "frames_repeated", "frames_skipped"),
        "drops": _only(
            heard[-1], "pictures_dropped", "chunks_late", "chunks_skipped", "chunks_hurried"
        ),
        "stages_ms": _only(heard[-1], "listen_ms", "denoise_ms", "decode_ms", "commit_ms"),
        "buffers_ms": _only(heard[-1], "playout_delay_ms", "ingest_delay_ms", "skew_max_ms"),
    }


async def watch_lips(server: Server, beeps: Path, seconds: float) -> dict[str, Any]:
    """A call with beeps: how far the flash is from its beep, at the viewer."""
    async with viewing(server.url, beeps, probe_sound=True) as page:
        await probed(page, "raw()")
        await press_start(page)
        await probed(page, "listen()")
        await asyncio.sleep(SETTLE_SECONDS)
        await probed(page, "watch()")
        await asyncio.sleep(seconds)
        pictures = np.array(await probed(page, "pictures()"), float)
        sounds = await probed(page, "sounds()")
    flashes = flash_middles(pictures)
    lips = differences(flashes, tone_middles(sounds["heard"]), -FARTHEST_MS)
    whole = differences(flashes, tone_middles(sounds["said"]), 0.0)
    if len(lips) < FEWEST_BEEPS:
        raise BenchError(
            f"{len(lips)} flashes with a beep were seen in {seconds:g} s; expected {FEWEST_BEEPS}"
        )
    return {
        "offset_ms": spread(lips),
        "definition": LIPS_ARE,
        "method_error_ms": METHOD_ERROR_MS,
        "beeps": len(lips),
        "microphone_to_picture_ms": spread(whole),
        "microphone_to_picture_is": MOUTH_TO_EYE_IS,
    }


def delivered(pictures: Array) -> dict[str, Any]:
    """From rows of [time in ms, pictures shown until then, …]: rate, gaps and freezes.

    BenchError with fewer than two pictures.
    """
    if len(pictures) < 2:
        raise BenchError(f"{len(pictures)} pictures were shown; expected a film")
    gaps = np.diff(pictures[:, 0])
    shown = pictures[-1, 1] - pictures[0, 1]
    return {
        "fps": round(float(shown * 1000 / (pictures[-1, 0] - pictures[0, 0])), 2),
        "pictures": int(shown) + 1,
        "freezes_over_200_ms": int((gaps > FREEZE_MS).sum()),
        "gap_ms": {
            "p50": round(float(np.median(gaps)), 1),
            "p99": round(float(np.percentile(gaps, 99)), 1),
            "longest": round(float(gaps.max()), 1),
        },
    }


def delays(heard: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the figures of every second, those with pictures: the median, and the worst p95."""
    known = [figures for figures in heard if figures["delay_p95_ms"] > 0]
    if not known:
        return {"p50": None, "p95": None, "definition": DELAY_IS}
    return {
        "p50": round(float(np.median([figures["delay_p50_ms"] for figures in known])), 1),
        "p95": round(max(float(figures["delay_p95_ms"]) for figures in known), 1),
        "definition": DELAY_IS,
    }


def flash_middles(pictures: Array) -> list[float]:
    """Middles of the flashes in rows of [time, count, light, …], ms; whole flashes only.

    A flash lasts from its first light picture to the first dark one after it. A picture is light
    if any of its own 40 ms of sound beeps, so it begins up to a picture too early and ends up to a
    picture too late: its middle is right on average.
    """
    light = pictures[:, 2] > LIGHT
    edges = np.flatnonzero(light[1:] != light[:-1]) + 1
    events = [[bool(light[edge]), float(pictures[edge, 0])] for edge in edges]
    return tone_middles(events)


def tone_middles(events: Sequence[Sequence[Any]]) -> list[float]:
    """Middles of the intervals that [begins, time] events enclose."""
    pairs = itertools.pairwise(events)
    return [(float(a[1]) + float(b[1])) / 2 for a, b in pairs if a[0] and not b[0]]


def differences(flashes: Sequence[float], beeps: Sequence[float], least: float) -> list[float]:
    """Flash minus beep for each flash and the nearest beep that is at least `least` ms before it.

    Farther than `FARTHEST_MS` after the least it is no match.
    """
    found = []
    for flash in flashes:
        late = [flash - beep for beep in beeps if flash - beep >= least]
        if late:
            found.append(min(late, key=abs))
    reach = FARTHEST_MS if least < 0 else 4 * FARTHEST_MS
    return [late for late in found if abs(late) <= reach]


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Median, 5th and 95th percentile."""
    if not values:
        return {"p50": None, "p5": None, "p95": None}
    p5, p50, p95 = np.percentile(values, (5, 50, 95))
    return {"p50": round(float(p50), 1), "p5": round(float(p5), 1), "p95": round(float(p95), 1)}


async def _second() -> bool:
    await asyncio.sleep(1)
    return False


async def _figures(server: Server) -> dict[str, Any]:
    sessions = await server.sessions()
    if not sessions:
        raise BenchError(f"the call ended before its time: {' '.join(server.log) or 'no word'}")
    return next(iter(sessions.values()))


def _only(figures: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: figures[name] for name in names}

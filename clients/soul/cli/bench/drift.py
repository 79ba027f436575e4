"""`soul bench drift`: does a portrait look the same after many minutes? Faster than real time.

One stream of the live rollout hears the same speech and pauses over and over; minutes are compared
by their median picture, which knows no mouth and no blink. Knows no session and no browser.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from soul.cli.bench.server import BenchError
from soul.cli.bench.sounds import write_speech
from soul.cli.sound import read_sound
from soul.measure.picture import delta_e2000, sharpness
from soul.media.portrait import PortraitError, read_portrait_file
from soul.model import sample
from soul.model.load import WeightsError, load
from soul.model.sample import Soul
from soul.model.vae import from_bytes
from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT

Pictures = NDArray[np.uint8]
CHUNKS_A_MINUTE = 60 * FRAME_RATE // FRAMES_PER_LATENT
EVERY = 6  # one chunk's first picture of so many is kept: about one a second


@dataclass(frozen=True, slots=True)
class Minute:
    """`delta_e_*` compare median pictures, CIEDE2000; `pulled_back` is a share of all cells."""

    delta_e_to_portrait: float
    delta_e_to_first_minute: float
    sharpness: float
    change: float  # mean absolute difference of pictures about a second apart, grey levels
    pulled_back: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of one minute."""

    pictures: Pictures  # [n, H, W, 3], about one a second
    pulled_back: float


def bench_drift(
    weights: str, device: str, threads: int, minutes: int, portrait: Path, sheet: Path | None
) -> dict[str, Any]:
    """One figure a minute, and a sheet with a picture of each; BenchError if it cannot begin."""
    torch.set_num_threads(threads)
    try:
        model = load(weights, device)
        still = read_portrait_file(portrait, model.config.image_size)
    except (WeightsError, PortraitError, OSError) as error:
        raise BenchError(str(error)) from error
    began = time.perf_counter()
    seen = list(islice(roll(model, still, speech(model)), minutes))
    seconds = time.perf_counter() - began
    if sheet is not None:
        Image.fromarray(np.concatenate([still, *(s.pictures[-1] for s in seen)], 1)).save(sheet)
    found = compare(still, seen)
    return {
        "model": weights,
        "device": device,
        "threads": threads,
        "portrait": portrait.name,
        "minutes": [asdict(minute) for minute in found],
        "delta_e_last_to_first_minute": found[-1].delta_e_to_first_minute,
        "sharpness_last_over_first": found[-1].sharpness / found[0].sharpness,
        "realtime_factor": seconds / (60 * minutes),
    }


def speech(model: Soul) -> torch.Tensor:
    """Speech with pauses, repeated without a seam: windows of its chunks [n, window_samples]."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        write_speech(path)
        heard = read_sound(path).speech
    chunk = model.config.chunk_samples
    period = len(heard) // chunk
    thrice = torch.from_numpy(np.tile(heard[: period * chunk], 3))
    return sample.cut(model.config, thrice)[period : 2 * period]


@torch.inference_mode()
def roll(model: Soul, portrait: Pictures, heard: torch.Tensor) -> Iterator[Seen]:
    """Minute after minute of one stream, without end."""
    still = from_bytes(portrait)
    state = sample.open_stream(model, still, "", seed=0)
    windows = cycle(heard.to(model.device))
    while True:
        pictures, strays = [], []
        for chunk in range(CHUNKS_A_MINUTE):
            shown = sample.advance(model, [state], next(windows).unsqueeze(0))[0]
            strays.append(state.strays)
            if chunk % EVERY == 0:
                pictures.append(shown[0].cpu().numpy())
        yield Seen(np.stack(pictures), float(np.mean(strays)))


def compare(portrait: Pictures, seen: list[Seen]) -> list[Minute]:
    """Each minute against the portrait and against the first."""
    medians = [np.median(s.pictures, 0).astype(np.uint8) for s in seen]
    return [
        Minute(
            delta_e_to_portrait=delta_e2000(portrait, median),
            delta_e_to_first_minute=delta_e2000(medians[0], median),
            sharpness=float(np.mean([sharpness(picture) for picture in s.pictures[::5]])),
            change=float(np.abs(np.diff(s.pictures.astype(np.int16), axis=0)).mean()),
            pulled_back=s.pulled_back,
        )
        for median, s in zip(medians, seen, strict=True)
    ]

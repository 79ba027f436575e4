"""How long the stages of chunks take, and what share of a GPU denoising gets out of it.

Knows clocks and devices; does NOT know what the stages do.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from soul.cli.plan import Work
from soul.model.config import DEAF, SoulConfig
from soul.stream.types import StageTimes

STAGES = ("listen", "denoise", "decode", "commit", "total")
PACKED_ROWS = 4  # tokens a latent where sound is packed: a row a frame

# TFLOP/s of dense bfloat16 products, by NVIDIA's data sheets; of what is not named MFU is not told.
PEAKS = {
    "H200": 989.0,
    "H100 80GB HBM3": 989.0,
    "H100 PCIe": 756.0,
    "A100": 312.0,
    "L40S": 362.0,
}


class Laps:
    """Seconds of each stage of each chunk. `settle` waits until the device has done all it was
    asked to do."""

    def __init__(self, seconds: Callable[[], float], settle: Callable[[], None]) -> None:
        self._seconds, self._settle = seconds, settle
        self._spent: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def lap(self, stage: str) -> Iterator[None]:
        """Counts what is done within as one chunk's `stage`; an error does not count."""
        began = self._seconds()
        yield
        self._settle()
        self._spent[stage].append(self._seconds() - began)

    def times(self) -> list[StageTimes]:
        """Every whole chunk's."""
        rows = zip(*(self._spent[stage] for stage in STAGES[:-1]), strict=False)
        return [StageTimes(*row) for row in rows]


def waits_for(device: str) -> Callable[[], None]:
    """What waits for the work of `device`; of a CPU there is nothing to wait for."""
    import torch

    if torch.device(device).type != "cuda":
        return lambda: None
    return lambda: torch.cuda.synchronize(device)


def percentiles(times: Sequence[StageTimes]) -> dict[str, dict[str, float]]:
    """p50 and p95 of each stage, milliseconds; empty of no chunk."""
    if not times:
        return {}
    rows = [(t.listen, t.denoise, t.decode, t.commit, t.total) for t in times]
    p50, p95 = np.percentile(np.array(rows) * 1000, (50, 95), axis=0)
    return {
        name: {"p50": round(float(a), 2), "p95": round(float(b), 2)}
        for name, a, b in zip(STAGES, p50, p95, strict=True)
    }


def work_of(
    config: SoulConfig, steps: int, times: Sequence[StageTimes], device: str
) -> Work | None:
    """What denoising by `steps` steps costs and, by its median over `times`, how fast it went;
    None of no chunk."""
    from soul.model.flops import pass_flops, passes_a_step

    if not times:
        return None
    flops, passes = pass_flops(config, heard_by(config)), steps * passes_a_step(config)
    speed = flops * passes / float(np.median([t.denoise for t in times])) / 1e12
    peak = peak_of(device)
    return Work(flops, passes, round(speed, 4), None if peak is None else round(speed / peak, 4))


def heard_by(config: SoulConfig) -> int:
    """Tokens of sound, and of cues, that a latent hears."""
    if config.dit.audio_form in ("packed", DEAF):
        return PACKED_ROWS
    if config.cue_width:
        from soul.model.cues import TOKENS

        return config.audio.tokens + TOKENS
    from soul.model.wan.whisper import TOKENS_PER_LATENT

    return TOKENS_PER_LATENT


def peak_of(device: str) -> float | None:
    """TFLOP/s of a GPU whose name `PEAKS` knows a part of."""
    import torch

    if torch.device(device).type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)

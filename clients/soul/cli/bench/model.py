"""`soul bench model`: how long each stage of a chunk takes, on an otherwise idle worker."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from soul.cli.bench.server import BenchError
from soul.cli.large import LoadLarge, admitted, folder_of, is_large, run_of
from soul.cli.plan import LargeConfig, for_small
from soul.cli.stages import percentiles, work_of
from soul.model.load import WeightsError, load
from soul.stream.process import Factory, Unable
from soul.stream.types import Performs, StageTimes, Work
from soul.stream.worker import LoadSoul
from soul.timebase import AUDIO_RATE

SKIPPED = 3  # chunks whose figures do not count: caches fill
STREAM = "bench"
SMALL = LargeConfig()  # nothing told


def bench_model(
    weights: str, device: str, threads: int, chunks: int, large: LargeConfig = SMALL
) -> dict[str, Any]:
    """The figures of `weights`; BenchError if they cannot be loaded, PlanError for `large` ones'
    options that a shipped model does not know.
    """
    if is_large(weights):
        admitted(weights, accept=False, command="bench model")
        factory: Factory = LoadLarge(str(folder_of(weights)), device, threads, large)
    else:
        for_small(large, weights)
        factory = LoadSoul(weights, device, threads)
    try:
        performer = factory()
    except Unable as error:
        raise BenchError(str(error)) from error
    times = list(run(performer, chunks))
    budget_ms = performer.format.chunk_samples * 1000 / AUDIO_RATE
    totals = [time.total * 1000 for time in times]
    return {
        "model": weights,
        "device": device,
        "threads": threads,
        "chunks": len(times),
        "steps": performer.steps,
        "parameters": parameters(weights),
        "stages_ms": percentiles(times),
        "denoising": denoising(weights, large, performer.steps, times, device),
        "budget_ms": budget_ms,
        "budget_share_p50": float(np.median(totals) / budget_ms),
        "budget_share_p95": float(np.percentile(totals, 95) / budget_ms),
        "realtime_factor": float(np.mean(totals) / budget_ms),
        "peak_device_memory_bytes": device_memory(device),
    }


def run(performer: Performs, chunks: int) -> Iterable[StageTimes]:
    """The times of `chunks` chunks of one stream that hears noise."""
    form = performer.format
    rng = np.random.default_rng(0)
    portrait = np.full((form.height, form.width, 3), 128, np.uint8)
    performer.open(STREAM, portrait, "", seed=0)
    for chunk in range(chunks + SKIPPED + 1):
        pcm = rng.normal(0, 0.1, form.window_samples).astype(np.float32)
        for frames in performer.perform([Work(STREAM, chunk, pcm, performer.steps, deadline=0)]):
            if chunk > SKIPPED:  # `commit` is that of the chunk before, which counts as well
                yield frames.times
    performer.close(STREAM)


def denoising(
    weights: str, large: LargeConfig, steps: int, times: Sequence[StageTimes], device: str
) -> dict[str, Any] | None:
    """What denoising costs and how fast it went."""
    if is_large(weights):
        from soul.checkpoints.running import for_calls, lay_out, lightest

        folder = folder_of(weights)
        config = lay_out(folder, for_calls(run_of(large, lightest(folder)))).model.config
    else:
        config = load(weights).config
    found = work_of(config, steps, times, device)
    return None if found is None else asdict(found)


def device_memory(device: str) -> int | None:
    """The most bytes that tensors held on a GPU, those of loading included; None on a CPU."""
    import torch

    if torch.device(device).type != "cuda":
        return None
    return int(torch.cuda.max_memory_allocated(device))


def parameters(weights: str) -> dict[str, int]:
    """How many numbers each part of the model has, and all of them."""
    if is_large(weights):
        from soul.checkpoints.layout import counted

        counts = counted(folder_of(weights))
        return {**counts, "all": sum(counts.values())}
    try:
        parts = load(weights).named_children()
    except WeightsError as error:
        raise BenchError(str(error)) from error
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts}
    return {**counts, "all": sum(counts.values())}

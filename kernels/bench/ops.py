"""One micro-benchmark an op: the fast form against its plain twin, at the sizes `soul-mini` runs.

`python kernels/bench/ops.py [--op NAME ...] [--streams N] [--repeats N] [--device D]` writes one
JSON line a form. Medians of one machine's run; knows no model: the sizes are spelled out below.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from soul.kernels import attention, pullback, reference

Run: TypeAlias = Callable[[], object]

TOKENS = 64  # of one latent of 256 x 256
CONTEXT = 7 * TOKENS  # the pivotal latent and a window of six
HEADS, HEAD_DIM = 4, 64
CHANNELS, CELLS, CENTROIDS = 48, 256, 1024


@dataclass(frozen=True, slots=True)
class Figure:
    """One form's milliseconds a call, and how far its result lies from the plain form's."""

    op: str
    form: str
    shape: str
    median_ms: float
    worst_ms: float
    largest_difference: float


def attention_forms(streams: int, device: str) -> tuple[str, dict[str, Callable[[], Tensor]]]:
    """One latent's tokens looking at themselves and their context."""
    query = torch.randn(streams, HEADS, TOKENS, HEAD_DIM, device=device)
    key, value = torch.randn(2, streams, HEADS, CONTEXT + TOKENS, HEAD_DIM, device=device)
    return f"q {tuple(query.shape)} k {tuple(key.shape)}", {
        "plain": lambda: reference.attention(query, key, value),
        "fast": lambda: attention.attention(query, key, value),
    }


def pullback_forms(streams: int, device: str) -> tuple[str, dict[str, Callable[[], Tensor]]]:
    """Every cell of one latent against the whole codebook; about half are strays."""
    features = torch.randn(streams * CELLS, CHANNELS, device=device)
    centroids = torch.randn(CENTROIDS, CHANNELS, device=device)
    threshold = reference.pullback(features, centroids, torch.zeros((), device=device))[1].median()
    return f"features {tuple(features.shape)} centroids {tuple(centroids.shape)}", {
        "plain": lambda: reference.pullback(features, centroids, threshold)[0],
        "fast": lambda: pullback.pullback(features, centroids, threshold)[0],
    }


OPS = {"attention": attention_forms, "pullback": pullback_forms}


def milliseconds(run: Run, repeats: int, device: str) -> list[float]:
    """Each of `repeats` calls, after one that warms up; waits for the device."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        run()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        times.append((time.perf_counter() - began) * 1000)
    return times[1:]


def measure(op: str, streams: int, repeats: int, device: str) -> Iterator[Figure]:
    """The figures of each form of `op`, the plain one first."""
    torch.manual_seed(0)
    shape, forms = OPS[op](streams, device)
    expected = forms["plain"]()
    for form, run in forms.items():
        difference = float((run() - expected).abs().max())
        times = milliseconds(run, repeats, device)
        yield Figure(op, form, shape, statistics.median(times), max(times), difference)


def machine(device: str) -> dict[str, str | int]:
    """What the figures were measured on."""
    cuda = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else device,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure the ops named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--op", action="append", choices=list(OPS), help="default: all")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    wanted = parser.parse_args()
    with torch.inference_mode():
        for op in wanted.op or OPS:
            for figure in measure(op, wanted.streams, wanted.repeats, wanted.device):
                row = {**asdict(figure), **machine(wanted.device)}
                sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()

"""What a film is made from, and what is told of it. Plain data; imports nothing that takes time."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from soul.timebase import AUDIO_RATE


class PlanError(Exception):
    """What was asked for cannot be; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class PromptAt:
    """A prompt that holds from `seconds` of the film on."""

    seconds: float
    prompt: str


@dataclass(frozen=True, slots=True)
class LargeConfig:
    """What a large model may be told besides; what is None is as its folder has it."""

    size: tuple[int, int] | None = None  # height and width in pixels
    clips: bool | None = None
    dtype: str = "bf16"
    decoder: str | None = None  # None: the full one for a film, the lightest for a call
    tile: bool = False
    solver: str | None = None
    steps: int | None = None
    guidance: float | None = None
    audio_guidance: float | None = None
    fps: int | None = None
    negative: str = ""
    ear: Path | None = None


@dataclass(frozen=True, slots=True)
class AnimateConfig:
    """What `soul animate` may be told, and what it does if not told."""

    output: Path = Path("out.mp4")
    prompt: str = ""
    at: tuple[PromptAt, ...] = ()  # prompts that take over on the way
    seed: int = 0
    steps: int | None = None  # None: the model's own
    model: str = "soul-mini"
    device: str = "cpu"
    large: LargeConfig = LargeConfig()
    accept_licence: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What denoising a chunk costs, by count, and how fast it went."""

    flops_a_pass: int
    passes: int  # a chunk
    tflops_per_second: float
    mfu: (
        float | None
    )  # share of the GPU's peak; None of a CPU and of a GPU that `soul.cli.stages.PEAKS` lacks


@dataclass(frozen=True, slots=True)
class Report:
    """What `--json` prints. `realtime_factor` is the model's seconds over the film's seconds."""

    frames: int
    fps: float
    seconds: float
    realtime_factor: float
    first_frame_ms: float
    model: str
    device: str
    peak_memory_bytes: int
    stages_ms: dict[str, dict[str, float]]  # p50 and p95 of a chunk's
    denoising: Work | None  # of no chunk there is none


DEFAULTS = AnimateConfig()
MODES = ("clip", "stream")
OPTIONS = {"clips": "mode"}  # fields that are told by another name


def prompt_at(text: str) -> PromptAt:
    """What `--at` was told, such as "4.0:a happy person"; PlanError if it is not that."""
    time, colon, prompt = text.partition(":")
    try:
        seconds = float(time)
    except ValueError:
        seconds = math.nan
    if not colon or not 0 <= seconds < math.inf:
        raise PlanError(f'--at is {text!r}; expected SECONDS:PROMPT such as 4.0:"a happy person"')
    return PromptAt(seconds, prompt)


def size_of(text: str | None) -> tuple[int, int] | None:
    """What `--size` was told, such as 704x1280; PlanError if it is not that."""
    if text is None:
        return None
    height, _, width = text.lower().replace(" ", "").partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise PlanError(f"--size is {text!r}; expected HEIGHTxWIDTH in pixels such as 704x1280")
    return int(height), int(width)


def clips_of(mode: str | None) -> bool | None:
    """What `--mode` was told; PlanError if it is neither clip nor stream."""
    if mode not in (None, *MODES):
        raise PlanError(f"--mode is {mode!r}; expected {' or '.join(MODES)}")
    return None if mode is None else mode == MODES[0]


def for_small(large: LargeConfig, model: str) -> None:
    """PlanError if something was told that a shipped model does not know."""
    known, told = LargeConfig(), asdict(large)
    if changed := [name for name, value in asdict(known).items() if told[name] != value]:
        raise PlanError(
            f"--{OPTIONS.get(changed[0], changed[0].replace('_', '-'))} is for large models, in "
            f"folders that soul convert wrote; {model} knows it not"
        )


def in_time(prompts: Sequence[PromptAt], seconds: float) -> list[PromptAt]:
    """The prompts by their time; PlanError if a film of `seconds` ends before one of them."""
    ordered = sorted(prompts, key=lambda one: one.seconds)
    if ordered and ordered[-1].seconds >= seconds:
        raise PlanError(
            f"--at names {ordered[-1].seconds:g} s, but the recording ends at {seconds:g} s; "
            "expected a time before its end"
        )
    return ordered


def prompts_by_chunk(ordered: Sequence[PromptAt], chunk_samples: int) -> dict[int, str]:
    """Which prompt each chunk brings, as in a call: that in which its time lies; the next follows.

    Of several in one chunk the latest.
    """
    return {int(one.seconds * AUDIO_RATE) // chunk_samples: one.prompt for one in ordered}

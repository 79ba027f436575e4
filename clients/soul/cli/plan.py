"""What a film is made from, and what is told of it. Plain data; imports nothing that takes time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
class AnimateConfig:
    """What `soul animate` may be told, and what it does if not told."""

    output: Path = Path("out.mp4")
    prompt: str = ""
    at: tuple[PromptAt, ...] = ()  # prompts that take over on the way
    seed: int = 0
    steps: int | None = None  # None: the model's own
    model: str = "soul-mini"
    device: str = "cpu"


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


DEFAULTS = AnimateConfig()


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

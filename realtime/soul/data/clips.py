"""Which videos are looked at, and where their shots are cut into clips. Reads no file."""

from collections.abc import Iterable
from dataclasses import dataclass

from soul.data.config import ClipConfig
from soul.data.source import Source, Span
from soul.timebase import FRAME_RATE

SLACK = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """The clips of one video, and the shots out of which nothing could be cut."""

    clips: tuple[Span, ...]
    short: tuple[Span, ...]


def too_small(source: Source, config: ClipConfig) -> str | None:
    """Why the picture is too small; None if it is not."""
    if min(source.width, source.height) > config.above:
        return None
    return f"{source.width} x {source.height} pixels; expected more than {config.above} a side"


def too_slow(source: Source, config: ClipConfig) -> str | None:
    """Why the frame rate is too low; None if it is not."""
    if source.rate >= config.slowest:
        return None
    return f"{source.rate:.2f} frames/s; expected at least {config.slowest:g}"


def too_short(seconds: float, config: ClipConfig) -> str | None:
    """Why nothing can be cut out of so many seconds; None if something can."""
    if round(seconds * FRAME_RATE) >= round(config.shortest * FRAME_RATE):
        return None
    return f"{seconds:.2f} s; expected at least {config.shortest:g}"


def breaks_off(seconds: float, source: Source) -> str | None:
    """What is missing if a video's pictures end long before it says it does; None if they do not.

    Other tracks may be a little longer than the pictures: what counts is `SLACK`.
    """
    if seconds >= source.seconds - SLACK:
        return None
    return f"the pictures end after {seconds:.2f} of {source.seconds:.2f} s"


def plan(shots: Iterable[Span], config: ClipConfig) -> Plan:
    """Cut each shot into as many equal clips as are long enough; what is left over is dropped.

    A clip is as long as it may be; those of one shot follow each other without a gap.
    """
    clips: list[Span] = []
    short: list[Span] = []
    for shot in shots:
        found = _cut(shot, config)
        clips += found
        short += [] if found else [shot]
    return Plan(tuple(clips), tuple(short))


def _cut(shot: Span, config: ClipConfig) -> list[Span]:
    count = shot.frames // round(config.shortest * FRAME_RATE)
    if not count:
        return []
    length = min(shot.frames // count, round(config.longest * FRAME_RATE))
    return [Span(shot.first + index * length, length) for index in range(count)]

"""What a figure has to reach: the project's bars and goals for lips and life, in one table.

A bar is what has to hold, a goal what is hoped for. Where they are words, a person judges them and
the figure only helps. Knows nothing of how figures are made.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Unit = Literal["correlation", "frames", "share", "a minute", "seconds", "points", "plain"]


@dataclass(frozen=True, slots=True)
class Range:
    """What counts as reached: `low` <= value <= `high`; None is no limit."""

    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        above = self.low is None or value >= self.low
        return above and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the table: a figure, what it means, and what it should be."""

    figure: str
    title: str
    meaning: str
    unit: Unit
    bar: Range | str
    goal: Range | str
    group: str
    headline: bool = False


ALIVE = "present, tied to the voice"
BLIND = "not to be told from the world's own renders in a blind contact sheet"
LIPS, QUIET, LIFE = "Lips", "Silence", "Life"

BARS: tuple[Bar, ...] = (
    Bar(
        "mouth_correlation",
        "Mouth opens with the voice",
        "Correlation of the mouth's opening with the truth, at each take's best lag: 1 is "
        "perfect, 0 is unrelated.",
        "correlation", Range(0.80), Range(0.92), LIPS, True,
    ),
    Bar(
        "mouth_lag_frames",
        "Lag",
        "How many frames of 40 ms the mouth is late (negative: early), mean over takes.",
        "frames", Range(-1.0, 1.0), Range(-0.5, 0.5), LIPS, True,
    ),
    Bar(
        "mouth_width_correlation",
        "Mouth shape",
        "Correlation of rounded (oo) against spread (ee) lips with the truth, frame by frame, in "
        "those frames in which the mouth is truly open, by more than 15 % of its widest.",
        "correlation", Range(0.6), Range(0.8), LIPS, True,
    ),
    Bar(
        "bilabials_closed",
        "Lips closed on p, b, m",
        "Share of the sounds p, b and m at which the lips are seen closed within 80 ms.",
        "share", Range(0.80), Range(0.95), LIPS, True,
    ),
    Bar(
        "closed_in_silence",
        "Mouth closed in silence",
        "Share of frames with a closed mouth in pauses of at least 400 ms, in takes with rooms, "
        "noise and telephones as training draws them.",
        "share", Range(0.98), Range(0.995), QUIET, True,
    ),
    Bar(
        "closed_in_silence_clean",
        "in a silent room",
        "The same in takes whose pauses are digital silence.",
        "share", Range(0.98), Range(0.995), QUIET,
    ),
    Bar(
        "closed_in_silence_room_noise",
        "with room noise",
        "The same takes with steady noise 30 dB below speech.",
        "share", Range(0.98), Range(0.995), QUIET,
    ),
    Bar(
        "closed_in_silence_keyboard",
        "with a keyboard",
        "The same takes with typing 30 dB below speech.",
        "share", Range(0.98), Range(0.995), QUIET,
    ),
    Bar(
        "closed_in_silence_music",
        "with music",
        "The same takes with music 30 dB below speech.",
        "share", Range(0.98), Range(0.995), QUIET,
    ),
    Bar(
        "blinks_a_minute",
        "Blinks a minute",
        "People in conversation blink 10 to 20 times a minute.",
        "a minute", Range(8.0, 25.0), Range(10.0, 20.0), LIFE, True,
    ),
    Bar(
        "longest_stare_seconds",
        "Longest stare",
        "The longest time without a blink.",
        "seconds", Range(None, 12.0), "like people", LIFE, True,
    ),
    Bar(
        "blink_irregularity",
        "Irregular blinks",
        "Deviation of the time between two blinks over its mean: 0 is a clock, 1 is pure chance.",
        "plain", "irregular", "like people", LIFE,
    ),
    Bar(
        "gaze_motion",
        "Gaze moves",
        "How far the eyes wander, as a deviation; 1 is the corner of the eye.",
        "plain", ALIVE, BLIND, LIFE,
    ),
    Bar(
        "brow_motion",
        "Brows move",
        "How much the brows rise and fall, as a deviation.",
        "plain", ALIVE, BLIND, LIFE,
    ),
    Bar(
        "head_motion",
        "Head moves",
        "How much the head turns, nods and tilts, as a deviation.",
        "plain", ALIVE, BLIND, LIFE,
    ),
    Bar(
        "brows_follow_pitch",
        "Brows rise with the voice's pitch",
        "Correlation of the brows with the pitch of the voice a moment before.",
        "correlation", ALIVE, BLIND, LIFE,
    ),
    Bar(
        "brows_follow_loudness",
        "Brows rise with loudness",
        "Correlation of the brows with the loudness of the voice a moment before.",
        "correlation", ALIVE, BLIND, LIFE,
    ),
    Bar(
        "nods_follow_pitch",
        "Nods go with the voice's pitch",
        "Correlation of the lowered head with the pitch of the voice a moment before.",
        "correlation", ALIVE, BLIND, LIFE,
    ),
    Bar(
        "nods_follow_loudness",
        "Nods go with loudness",
        "Correlation of the lowered head with the loudness of the voice a moment before.",
        "correlation", ALIVE, BLIND, LIFE,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure beside its bar. `met_*` is None where words decide or these takes cannot tell."""

    bar: Bar
    value: float | None
    on_renders: float | None  # the same figure of the world's own renders: the ceiling
    met_bar: bool | None
    met_goal: bool | None


def judge(
    figures: Mapping[str, object], ceiling: Mapping[str, object], bars: Sequence[Bar] = BARS
) -> tuple[Verdict, ...]:
    """Every row of a table with its figure. Raises KeyError for a figure that is not there."""
    return tuple(
        _verdict(bar, _number(figures[bar.figure]), _number(ceiling[bar.figure])) for bar in bars
    )


def _verdict(bar: Bar, value: float | None, ceiling: float | None) -> Verdict:
    return Verdict(bar, value, ceiling, _met(bar.bar, value), _met(bar.goal, value))


def _met(wanted: Range | str, value: float | None) -> bool | None:
    return None if value is None or isinstance(wanted, str) else wanted.holds(value)


def _number(value: object) -> float | None:
    """A figure as a number; None for what is none, and for nan."""
    known = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if known and isinstance(value, int | float) else None


_READ: dict[Unit, str] = {
    "correlation": "{:.2f}",
    "frames": "{:+.2f} frames",
    "share": "{:.1%}",
    "a minute": "{:.1f}",
    "seconds": "{:.1f} s",
    "points": "{:+.1f} points",
    "plain": "{:.2f}",
}
_ASKED: dict[Unit, str] = {"share": "{:.4g} %", "seconds": "{:g} s"}


def told(value: float | None, unit: Unit) -> str:
    """A figure as people read it."""
    if value is None:
        return "—"
    return _READ[unit].format(value).replace("-", "−").replace("%", " %")


def asked(wanted: Range | str, unit: Unit) -> str:
    """A bar or a goal as people read it."""
    if isinstance(wanted, str):
        return wanted
    low, high = (_limit(value, unit).replace("-", "−") for value in (wanted.low, wanted.high))
    if wanted.low is not None and wanted.low == -(wanted.high or 0.0):
        return f"within ± {high}"
    if wanted.low is None:
        return f"at most {high}"
    return f"at least {low}" if wanted.high is None else f"{low} to {high}"


def _limit(value: float | None, unit: Unit) -> str:
    if value is None:
        return ""
    return _ASKED.get(unit, "{:g}").format(100 * value if unit == "share" else value)


def as_json(verdict: Verdict) -> dict[str, object]:
    """A verdict as report.json tells it."""
    bar = verdict.bar
    return {
        "figure": bar.figure,
        "value": verdict.value,
        "on_renders": verdict.on_renders,
        "bar": asked(bar.bar, bar.unit),
        "bar_met": verdict.met_bar,
        "goal": asked(bar.goal, bar.unit),
        "goal_met": verdict.met_goal,
    }

"""Figures of held-out takes: how well lips and life in the pictures fit what is true of the takes.

Everything comes in as curves that a probe has read from pictures, beside the truth of the drawn
world. The same figures are made of the world's own renders: what the probe reads there is the
ceiling of what it can read from a model. Knows no models, no files and no bars.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from soul.measure.life import (
    blink_irregularity,
    blinks_per_minute,
    blinks_shown,
    follows,
    liveliness,
    longest_stare,
)
from soul.measure.lips import best_lag, bilabial_closure, closure_in_silence, correlation, lags
from soul.timebase import FRAME_RATE
from soul.training.life import Prosody
from soul.training.probe import VISIBLE, Readings

Curve = NDArray[np.float32]
Mask = NDArray[np.bool_]

CLOSED = 0.08  # a reading below this is a closed mouth
SHAPED = 0.15  # in a mouth truly opened further than this the lips' width is compared
REACH = 2  # frames: lips may close within 80 ms of a /p b m/
_MOVES = 0.05  # a mouth whose true opening deviates by more than this is speaking
ENOUGH = FRAME_RATE  # frames of an open mouth below which a take says nothing about its width
LATEST = 12  # frames by which brows and nods may follow the voice
STARE_NEEDS = 15 * FRAME_RATE  # frames: shorter takes cannot show a stare that is too long
BACKGROUNDS = ("clean", "room_noise", "keyboard", "music")


def speaks(opening: Curve) -> bool:
    """Whether a mouth whose true opening [T] is this says something."""
    return bool(opening.std() > _MOVES)


@dataclass(frozen=True, slots=True)
class Picture:
    """How clean a take's pictures are: shares, a ratio of sharpness, and dB."""

    smudged: float
    smudged_in_last_second: float
    sharpness_against_portrait: float
    still_psnr: float


@dataclass(frozen=True)
class Trial:
    """One held-out take of T frames: what is true of it, and what the probe saw."""

    prompt: str
    truth: Readings
    seen: Readings  # in the model's pictures
    renders: Readings  # in the world's own pictures
    silent: Mask  # [T], where the mouth has to be closed
    closures: NDArray[np.int64]  # [n], the frames in which a /p b m/ closes the lips
    voice: Prosody
    told: Curve  # [T], the lids that the model was told of
    picture: Picture

    @property
    def spoken(self) -> bool:
        """Whether somebody speaks in it."""
        return speaks(self.truth.mouth_open)


@dataclass(frozen=True)
class Hush:
    """The mouth in one take's pauses under one background, [T] each."""

    background: str
    silent: Mask
    seen: Curve
    renders: Curve


@dataclass(frozen=True)
class Stare:
    """The lids of one long take, [T] each."""

    seen: Curve
    renders: Curve


@dataclass(frozen=True)
class Takes:
    """All that was seen of one model."""

    trials: tuple[Trial, ...]
    hushes: tuple[Hush, ...]
    stare: Stare

    def of_renders(self) -> "Takes":
        """The same takes as if the model had painted the world's own renders."""
        return Takes(
            tuple(replace(trial, seen=trial.renders) for trial in self.trials),
            tuple(replace(hush, seen=hush.renders) for hush in self.hushes),
            replace(self.stare, seen=self.stare.renders),
        )

    @property
    def spoken(self) -> tuple[Trial, ...]:
        """Those trials in which somebody speaks."""
        return tuple(trial for trial in self.trials if trial.spoken)


@dataclass(frozen=True, slots=True)
class Figures:
    """What can be read from pictures alone. Means are of one value a take; nan: not in these takes.

    Lags are in frames, positive when late. Motions are deviations in the units of `motion`; what
    follows the voice is a correlation at the lag at which the truth follows it most.
    """

    mouth_correlation: float
    mouth_correlation_lowest: float
    mouth_lag_frames: float
    mouth_lags: tuple[int, ...]  # one a take
    mouth_lag_histogram: dict[int, int]  # of stretches of 2.4 s: lag → how many
    mouth_width_correlation: float  # frame by frame, in truly open mouths
    bilabials_closed: float
    any_spoken_frame_closed: float  # the same test at every spoken frame: what chance gives
    closed_in_silence: float
    closed_in_silence_clean: float
    closed_in_silence_room_noise: float
    closed_in_silence_keyboard: float
    closed_in_silence_music: float
    blinks_a_minute: float
    blink_irregularity: float
    longest_stare_seconds: float
    gaze_motion: float
    brow_motion: float
    head_motion: float
    brows_follow_pitch: float
    brows_follow_loudness: float
    nods_follow_pitch: float
    nods_follow_loudness: float


def figures(takes: Takes) -> Figures:
    """The figures of what was seen. Raises ValueError if none of the trials has speech."""
    trials, spoken = takes.trials, takes.spoken
    if not spoken:
        raise ValueError(f"no take has speech among {len(trials)}, expected at least one")
    found = [best_lag(t.truth.mouth_open, t.seen.mouth_open) for t in spoken]
    correlations = [lag.correlation for lag in found]
    return Figures(
        mouth_correlation=float(np.mean(correlations)),
        mouth_correlation_lowest=float(np.min(correlations)),
        mouth_lag_frames=float(np.mean([lag.frames for lag in found])),
        mouth_lags=tuple(lag.frames for lag in found),
        mouth_lag_histogram=histogram(spoken),
        mouth_width_correlation=mean_of_known([width_correlation(t) for t in spoken]),
        bilabials_closed=closed_at([t.closures for t in spoken], spoken),
        any_spoken_frame_closed=closed_at([np.flatnonzero(~t.silent) for t in spoken], spoken),
        closed_in_silence=closure_in_silence(
            np.concatenate([t.seen.mouth_open for t in trials]),
            np.concatenate([t.silent for t in trials]),
            CLOSED,
        ),
        closed_in_silence_clean=closed_under("clean", takes.hushes),
        closed_in_silence_room_noise=closed_under("room_noise", takes.hushes),
        closed_in_silence_keyboard=closed_under("keyboard", takes.hushes),
        closed_in_silence_music=closed_under("music", takes.hushes),
        blinks_a_minute=float(np.mean([blinks_per_minute(t.seen.eye_open) for t in trials])),
        blink_irregularity=blink_irregularity(takes.stare.seen),
        longest_stare_seconds=longest([takes.stare.seen, *(t.seen.eye_open for t in trials)]),
        gaze_motion=mean_of_known([gaze_motion(t.seen) for t in trials]),
        brow_motion=mean_of_known([liveliness(t.seen.brows) for t in trials]),
        head_motion=mean_of_known(
            [liveliness(t.seen.yaw, t.seen.pitch, t.seen.roll) for t in trials]
        ),
        brows_follow_pitch=tie(spoken, pitch_of, brows_of),
        brows_follow_loudness=tie(spoken, loudness_of, brows_of),
        nods_follow_pitch=tie(spoken, pitch_of, nods_of),
        nods_follow_loudness=tie(spoken, loudness_of, nods_of),
    )


def mean_of_known(values: list[float]) -> float:
    """The mean of those that are not nan; nan if all are."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def histogram(trials: Sequence[Trial]) -> dict[int, int]:
    """How many stretches of the trials are late by how many frames, in the order of the lags."""
    found = np.concatenate([lags(t.truth.mouth_open, t.seen.mouth_open) for t in trials])
    values, counts = np.unique(found, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def width_correlation(trial: Trial) -> float:
    """Rounded against spread where the mouth is truly open; nan if it hardly ever is."""
    open_ = trial.truth.mouth_open > SHAPED
    if open_.sum() < ENOUGH:
        return math.nan
    return correlation(trial.truth.mouth_wide[open_], trial.seen.mouth_wide[open_])


def closed_at(moments: Sequence[NDArray[np.int64]], trials: Sequence[Trial]) -> float:
    """The share of all `moments` near which the lips are seen closed; nan without any."""
    shares = [
        bilabial_closure(trial.seen.mouth_open, at, CLOSED, REACH)
        for trial, at in zip(trials, moments, strict=True)
    ]
    sizes = [np.sum(at < t.silent.size) for t, at in zip(trials, moments, strict=True)]
    total = float(np.sum(sizes))
    return float(np.nansum(np.multiply(shares, sizes))) / total if total else math.nan


def closed_under(background: str, hushes: Sequence[Hush]) -> float:
    """Share of silent frames with a closed mouth under one background; nan without any."""
    heard = [hush for hush in hushes if hush.background == background]
    if not heard:
        return math.nan
    opening = np.concatenate([hush.seen for hush in heard])
    return closure_in_silence(opening, np.concatenate([hush.silent for hush in heard]), CLOSED)


def longest(lids: list[Curve]) -> float:
    """The longest stare in seconds; nan if no take is long enough to show one."""
    if max(len(curve) for curve in lids) < STARE_NEEDS:
        return math.nan
    return max(longest_stare(curve) for curve in lids)


def gaze_motion(seen: Readings) -> float:
    """How much the eyes wander, in those frames in which the lids do not hide it."""
    open_ = seen.eye_open > VISIBLE
    if not open_.any():
        return math.nan
    return liveliness(seen.gaze_x[open_], seen.gaze_y[open_])


def tie(
    trials: Sequence[Trial], cause: Callable[[Prosody], Curve], effect: Callable[[Readings], Curve]
) -> float:
    """How closely what is seen follows the voice, at the lag at which the truth does most."""
    voices = [cause(t.voice) for t in trials]
    true, seen = [effect(t.truth) for t in trials], [effect(t.seen) for t in trials]
    late = min(LATEST, min(map(len, voices)) - 2)
    strongest = int(np.argmax([follows(voices, true, lag) for lag in range(late + 1)]))
    return follows(voices, seen, strongest)


def pitch_of(voice: Prosody) -> Curve:
    return np.asarray(voice.pitch, np.float32)


def loudness_of(voice: Prosody) -> Curve:
    return np.asarray(voice.loudness, np.float32)


def brows_of(seen: Readings) -> Curve:
    return seen.brows


def nods_of(seen: Readings) -> Curve:
    return -seen.pitch


@dataclass(frozen=True, slots=True)
class Row:
    """One take in a table."""

    take: int
    prompt: str
    mouth_correlation: float
    mouth_lag_frames: float
    mouth_width_correlation: float
    bilabials: int
    bilabials_closed: float
    closed_in_silence: float
    blinks: int


def row_of(number: int, trial: Trial) -> Row:
    """The figures of one take; a silent one has no correlation and no lag."""
    lag = best_lag(trial.truth.mouth_open, trial.seen.mouth_open)
    frames = trial.silent.size
    return Row(
        take=number,
        prompt=trial.prompt,
        mouth_correlation=lag.correlation if trial.spoken else math.nan,
        mouth_lag_frames=lag.frames if trial.spoken else math.nan,
        mouth_width_correlation=width_correlation(trial),
        bilabials=int(np.sum(trial.closures < frames)),
        bilabials_closed=closed_at([trial.closures], [trial]),
        closed_in_silence=closure_in_silence(trial.seen.mouth_open, trial.silent, CLOSED),
        blinks=round(blinks_per_minute(trial.seen.eye_open) * frames / (60 * FRAME_RATE)),
    )


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one model in one flat list, in the order in which they are told."""

    trials: int
    frames: int
    silent_frames: int
    silent_frames_under_backgrounds: int
    bilabials: int
    seconds_of_longest_take: float
    probe_correlation_on_renders: float
    probe_closed_in_silence_on_renders: float
    blinks_shown: float  # share of those that the model was told of
    smudged: float  # share of what should not move that differs visibly from the portrait
    smudged_in_last_second: float
    sharpness_against_portrait: float
    still_psnr: float


def report(takes: Takes, ceiling: Figures) -> Report:
    """What is told of the takes besides their `figures`; `ceiling` is those of the renders."""
    trials = takes.trials
    return Report(
        trials=len(trials),
        frames=sum(t.silent.size for t in trials),
        silent_frames=sum(int(t.silent.sum()) for t in trials),
        silent_frames_under_backgrounds=sum(int(hush.silent.sum()) for hush in takes.hushes),
        bilabials=sum(row_of(0, t).bilabials for t in takes.spoken),
        seconds_of_longest_take=max(takes.stare.seen.size, *(t.silent.size for t in trials))
        / FRAME_RATE,
        probe_correlation_on_renders=ceiling.mouth_correlation,
        probe_closed_in_silence_on_renders=ceiling.closed_in_silence,
        blinks_shown=mean_of_known([blinks_shown(t.told, t.seen.eye_open) for t in trials]),
        smudged=mean_of_known([t.picture.smudged for t in trials]),
        smudged_in_last_second=mean_of_known([t.picture.smudged_in_last_second for t in trials]),
        sharpness_against_portrait=float(
            np.mean([t.picture.sharpness_against_portrait for t in trials])
        ),
        still_psnr=float(np.mean([t.picture.still_psnr for t in trials])),
    )

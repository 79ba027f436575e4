"""What a face does besides speaking: blinks, gaze, head, brows, breath, and the mood behind them.

Everything is drawn from a generator, one value a frame at 25 frames a second. The head nods and
the brows rise with the voice; the rest only has to be plausible. This file knows neither phones
nor pictures. Rates and lengths of blinks and gazes are within what the literature on conversation
reports: 10 to 20 blinks a minute of 0.1 to 0.2 s, more of them where a phrase ends.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from soul.model.bearing import (
    IDLE_LIMIT,
    PULSE,
    SPEAKING_LIMIT,
    WITH_HEAD,
    Shape,
    arch,
    averted,
    hump,
    nod,
    shake,
)
from soul.model.cues import CHANNELS, REGULARITY, SHAPES
from soul.model.manner import Mood, attentive
from soul.timebase import AUDIO_RATE, FRAME_RATE, SAMPLES_PER_FRAME
from soul.training.motion import COLUMN, Motion, neutral
from soul.training.speech import Pcm

Curve = NDArray[np.float64]
_TURN = FRAME_RATE / 5  # deviation of the ramp between speaking and listening, in frames


@dataclass(frozen=True)
class Prosody:
    """The voice, one value a frame: loudness 0 .. 1, pitch in octaves around its own, 0 unvoiced;
    `stresses` are the frames of loudness peaks."""

    loudness: Curve
    pitch: Curve
    stresses: NDArray[np.int64]


def prosody(pcm: Pcm, frames: int) -> Prosody:
    """Loudness, pitch and stresses of clean sound [n] over `frames` pictures."""
    blocks = np.zeros((frames, SAMPLES_PER_FRAME))
    used = pcm[: blocks.size]
    blocks.ravel()[: used.size] = used
    rms = np.sqrt(np.mean(np.square(blocks), axis=1))
    peak = float(np.percentile(rms, 95))
    loudness = np.clip(rms / peak, 0.0, 1.0) if peak > 1e-4 else np.zeros(frames)
    smooth = gaussian_filter1d(loudness, 1.2)
    top = (smooth == maximum_filter1d(smooth, 9)) & (smooth > 0.45)
    return Prosody(loudness, _pitch(blocks, loudness), np.flatnonzero(top))


def _pitch(blocks: Curve, loudness: Curve) -> Curve:
    """Octaves around the median, by autocorrelation; 0 where there is no clear period."""
    low, high = AUDIO_RATE // 350, AUDIO_RATE // 70
    spectrum = np.fft.rfft(blocks, 2 * SAMPLES_PER_FRAME, axis=1)
    correlation = np.fft.irfft(np.square(np.abs(spectrum)), axis=1)[:, : SAMPLES_PER_FRAME // 2]
    energy = np.maximum(correlation[:, :1], 1e-9)
    lags = low + np.argmax(correlation[:, low:high], axis=1)
    strength = correlation[np.arange(len(lags)), lags] / energy[:, 0]
    voiced = (strength > 0.35) & (loudness > 0.2)
    octaves = -np.log2(lags / np.median(lags[voiced])) if voiced.any() else np.zeros(len(lags))
    return gaussian_filter1d(np.where(voiced, np.clip(octaves, -0.7, 0.7), 0.0), 1.5)


def live(
    rng: np.random.Generator,
    mood: Mood,
    pcm: Pcm,
    frames: int,
    listening: NDArray[np.bool_] | None = None,
    glances: Curve | None = None,
) -> Motion:
    """Everything but the mouth: a motion [frames, 17] whose mouth is still closed.

    `pcm` is the clean sound [n] that is spoken meanwhile; zeros for a face that idles. While it is
    `listening` [frames] to somebody else it attends: see `_attend`; it turns to that without a
    jump. `glances` [frames, 2] are what the eyes wander of themselves.
    """
    voice = prosody(pcm, frames)
    speaking = gaussian_filter1d(maximum_filter1d(voice.loudness, 25), 6.0)
    speaking = np.clip(1.6 * speaking, 0.0, 1.0)
    wandering = np.zeros((frames, 2)) if glances is None else glances
    bearing = _bearing(rng, mood, voice, speaking, wandering)
    if listening is not None and listening.any():
        share = gaussian_filter1d(listening.astype(np.float64), _TURN)
        attending = _attend(rng, mood, wandering)
        bearing = {name: (1 - share) * bearing[name] + share * attending[name] for name in bearing}
    lids = bearing.pop("lids") * _blinks(rng, mood, speaking)
    motion = neutral(frames)
    _put(motion, **bearing, eye_left=lids, eye_right=lids, breath=_breath(rng, frames))
    return motion


def _bearing(
    rng: np.random.Generator, mood: Mood, voice: Prosody, speaking: Curve, glances: Curve
) -> dict[str, Curve]:
    """Head, gaze, brows, smile and resting lids of a mood, by channel; `lids` is both eyes'."""
    frames = len(speaking)
    yaw, pitch, roll = _head(rng, mood, voice, speaking)
    gaze_x, gaze_y = (_gaze(rng, mood, frames) + mood.glances * glances).T
    brow_left, brow_right = _brows(rng, mood, voice)
    return {
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "gaze_x": gaze_x - WITH_HEAD * yaw,
        "gaze_y": gaze_y,
        "brow_left": brow_left,
        "brow_right": brow_right,
        "smile": mood.smile + 0.08 * _drift(rng, frames, 1.5) * (1.0 + speaking),
        "lids": _lids(rng, mood, gaze_y),
    }


def _attend(rng: np.random.Generator, mood: Mood, glances: Curve) -> dict[str, Curve]:
    """A listener of the same mind: eyes on the viewer, a nod, a small smile, raised brows."""
    frames = len(glances)
    quiet = np.zeros(frames)
    unheard = Prosody(quiet, quiet, np.zeros(0, np.int64))
    found = _bearing(rng, attentive(mood), unheard, quiet, glances)
    found["pitch"] = found["pitch"] + _now_and_then(rng, frames, nod, 4.0)
    found["smile"] = found["smile"] + 0.25 * _now_and_then(rng, frames, hump, 6.0)
    raised = 0.3 * _now_and_then(rng, frames, hump, 7.0)
    for name in ("brow_left", "brow_right"):
        found[name] = found[name] + raised
    return found


def _now_and_then(
    rng: np.random.Generator,
    frames: int,
    shape: Shape,
    seconds: float,
) -> Curve:
    """A shape drawn anew about every so many `seconds`, at irregular times."""
    curve = np.zeros(frames)
    frame = int(rng.uniform(0.0, seconds) * FRAME_RATE)
    while frame < frames:
        drawn = shape(rng)[: frames - frame]
        curve[frame : frame + len(drawn)] += drawn
        frame += len(drawn) + int(rng.uniform(0.4, 1.6) * seconds * FRAME_RATE)
    return curve


def _put(motion: Motion, **curves: Curve) -> None:
    for name, curve in curves.items():
        low = 0.0 if name.startswith("eye") else -1.0
        motion[:, COLUMN[name]] = np.clip(curve, low, 1.0)


def _drift(rng: np.random.Generator, frames: int, seconds: float) -> Curve:
    """Smooth noise [frames] of unit deviation that changes over about `seconds`."""
    sigma = seconds * FRAME_RATE / 2.0
    margin = int(4 * sigma)
    noise = gaussian_filter1d(rng.standard_normal(frames + 2 * margin), sigma, truncate=4.0)
    return np.asarray(noise[margin : margin + frames] * np.sqrt(2.0 * sigma * np.sqrt(np.pi)))


def _limited(curve: Curve, limit: Curve) -> Curve:
    return np.asarray(limit * np.tanh(curve / limit))


def _head(
    rng: np.random.Generator, mood: Mood, voice: Prosody, speaking: Curve
) -> tuple[Curve, Curve, Curve]:
    """Yaw, pitch and roll, what the mood does of its own accord included."""
    frames = len(speaking)
    energy = mood.head * (0.45 + 0.55 * speaking)
    limit = IDLE_LIMIT + (SPEAKING_LIMIT - IDLE_LIMIT) * np.maximum(speaking, mood.head >= 2.0)
    quick = speaking * mood.head
    yaw = 0.22 * energy * _drift(rng, frames, 1.8) + 0.07 * quick * _drift(rng, frames, 0.5)
    pitch = 0.14 * energy * _drift(rng, frames, 1.6) + mood.pitch + 0.06 * rng.standard_normal()
    pitch = pitch + _nods(rng, mood, voice, frames)
    roll = 0.16 * energy * _drift(rng, frames, 2.0) + 0.05 * quick * _drift(rng, frames, 0.7)
    roll = roll + mood.roll * rng.choice([-1.0, 1.0])
    yaw = yaw + 0.08 * min(1.0, mood.head) * rng.standard_normal()
    yaw, pitch, roll = _limited(yaw, limit), _limited(pitch, limit), _limited(roll, limit)
    return (
        yaw + mood.shaking * _now_and_then(rng, frames, shake, 1.2),
        pitch + 1.4 * mood.nodding * _now_and_then(rng, frames, nod, 0.9),
        roll + mood.tilting * _leaning(rng, frames),
    )


def _leaning(rng: np.random.Generator, frames: int) -> Curve:
    """The head leans to one side for some seconds, then to the other."""
    target = np.zeros(frames)
    frame, side = 0, rng.choice([-1.0, 1.0])
    while frame < frames:
        length = int(rng.uniform(2.0, 5.0) * FRAME_RATE)
        target[frame : frame + length] = side * rng.uniform(0.45, 0.7)
        frame, side = frame + length, -side
    return gaussian_filter1d(target, 6.0)


def _nods(rng: np.random.Generator, mood: Mood, voice: Prosody, frames: int) -> Curve:
    """Down with a stress and up again: starts with the loudness peak, never before it."""
    curve = np.zeros(frames)
    for frame in voice.stresses[rng.random(len(voice.stresses)) < min(1.0, 2.2 * mood.nod)]:
        length = int(rng.integers(10, 14))
        depth = rng.uniform(0.08, 0.16) * np.sqrt(mood.head) * voice.loudness[frame]
        shape = -depth * np.square(arch(length))
        end = min(frames, frame + length)
        curve[frame:end] += shape[: end - frame]
    return curve


def _gaze(rng: np.random.Generator, mood: Mood, frames: int) -> Curve:
    """Where a mood has the eyes look [frames, 2]: fixations of 0.3 to 2 s; the eye jumps within
    two frames."""
    target = np.zeros((frames, 2))
    frame, always = 0, rng.choice([-1.0, 1.0])
    while frame < frames:
        if rng.random() < mood.wander:
            point, length = averted(rng, mood, always), rng.integers(8, 40)
        else:
            point, length = (0.0, 0.0), rng.integers(8, 50)
        target[frame : frame + int(length)] = point
        frame += int(length)
    delayed = np.concatenate([target[:1], target[:-1]])
    return np.asarray(0.6 * target + 0.4 * delayed)


def _brows(rng: np.random.Generator, mood: Mood, voice: Prosody) -> tuple[Curve, Curve]:
    """Up where the voice goes up or is stressed; slightly different left and right."""
    frames = len(voice.loudness)
    rise = 0.5 * mood.vivid * np.maximum(voice.pitch, 0.0)
    for frame in voice.stresses:
        height = mood.vivid * rng.uniform(0.1, 0.24) * voice.loudness[frame]
        shape = height * arch(PULSE)
        end = min(frames, frame + PULSE)
        rise[frame:end] += shape[: end - frame]
    common = mood.brow + gaussian_filter1d(rise, 1.5) + 0.06 * _drift(rng, frames, 2.0)
    uneven = 0.04 * _drift(rng, frames, 2.0) + 0.03 * rng.standard_normal()
    return common + uneven, common - uneven


def _lids(rng: np.random.Generator, mood: Mood, gaze_y: Curve) -> Curve:
    """Resting lids: the mood's, a slow drift, and lower where the eyes look down."""
    rest = mood.eye + 0.03 * _drift(rng, len(gaze_y), 2.0)
    return np.clip(rest + 0.2 * np.minimum(gaze_y, 0.0), 0.4, 1.0)


def _blinks(rng: np.random.Generator, mood: Mood, speaking: Curve) -> Curve:
    frames = len(speaking)
    curve = np.ones(frames)
    free = 0  # no blink within half a second of the last one
    for frame in _blink_moments(rng, mood, speaking):
        shape = SHAPES[rng.integers(len(SHAPES))]
        if frame < free or frame + len(shape) > frames:
            continue
        curve[frame : frame + len(shape)] = shape
        free = frame + len(shape) + FRAME_RATE // 2
    return curve


def blinks_of(motion: Motion) -> NDArray[np.float32]:
    """The lids of a motion [frames, 17] as shares of how far they are open at rest [frames].

    1 but for blinks: how far the eyes are open at rest is the mood's.
    """
    open_ = motion[:, COLUMN["eye_left"]]
    share = open_ / np.median(open_)
    blinking = maximum_filter1d((share < 0.5).astype(np.int8), 5) > 0
    return np.where(blinking, np.minimum(share, 1.0), 1.0).astype(np.float32)


def cues_of(motion: Motion, listening: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A motion [frames, 17] as a model is told of it [frames, 11]: see `soul.model.cues`."""
    borne = [COLUMN["eye_left" if name == "lids" else name] for name in CHANNELS[:1] + CHANNELS[2:]]
    seen = motion[:, borne].astype(np.float32)
    return np.insert(seen, 1, listening, axis=1)


def _blink_moments(rng: np.random.Generator, mood: Mood, speaking: Curve) -> list[int]:
    mean = 60.0 * FRAME_RATE / mood.blinks
    gaps = rng.gamma(REGULARITY, mean / REGULARITY, 4 + int(3 * len(speaking) / mean))
    moments = np.cumsum(gaps) - rng.uniform(0.0, mean)
    fallen = np.flatnonzero((speaking[:-1] >= 0.5) & (speaking[1:] < 0.5))
    ends = fallen[rng.random(len(fallen)) < 0.5] + rng.integers(0, 5)
    found = np.concatenate([moments[(moments >= 0) & (moments < len(speaking))], ends])
    return sorted(int(moment) for moment in found)


def _breath(rng: np.random.Generator, frames: int) -> Curve:
    """One breath in 3 to 4 s, rising faster than it falls."""
    period = rng.uniform(3.0, 4.0) * FRAME_RATE
    warp = 0.05 * _drift(rng, frames, 4.0)
    phase = 2.0 * np.pi * (np.arange(frames) / period + rng.random() + warp)
    return np.asarray(rng.uniform(0.5, 0.9) * np.sin(phase + 0.4 * np.sin(phase)))

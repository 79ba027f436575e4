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

from soul.model.lids import REGULARITY, SHAPES
from soul.timebase import AUDIO_RATE, FRAME_RATE, SAMPLES_PER_FRAME
from soul.training.motion import COLUMN, Motion, neutral
from soul.training.speech import Pcm, Split

Curve = NDArray[np.float64]
_IDLE_LIMIT = 0.25  # how far the head turns while it listens
_SPEAKING_LIMIT = 0.6


@dataclass(frozen=True)
class Mood:
    """How somebody is: offsets of smile, brows and lids, and the energy of head and gaze.

    `phrases` describe it in words; the last one is kept for the held-out split.
    """

    name: str
    phrases: tuple[str, ...]
    smile: float = 0.1
    brow: float = 0.0
    eye: float = 1.0
    head: float = 1.0  # factor on head motion
    wander: float = 0.15  # share of fixations that leave the viewer
    nod: float = 0.4  # share of stresses that are nodded
    pitch: float = 0.0  # the head's resting tilt, down .. up
    gaze_y: float = 0.0  # where averted eyes go
    blinks: float = 11.0  # a minute, besides those at phrase ends


MOODS: tuple[Mood, ...] = (
    Mood(
        "calm",
        ("a calm person speaking", "a relaxed face, speaking quietly", "someone calm and at ease"),
        head=0.7,
    ),
    Mood(
        "happy",
        ("a happy person, smiling", "a cheerful smiling face", "somebody joyful, with a smile"),
        smile=0.7,
        brow=0.2,
        eye=0.92,
        head=1.2,
    ),
    Mood(
        "sad",
        ("a sad person", "a sorrowful face, looking down at times", "somebody unhappy, speaking"),
        smile=-0.55,
        brow=-0.2,
        eye=0.85,
        head=0.5,
        wander=0.3,
        pitch=-0.15,
        gaze_y=-0.5,
    ),
    Mood(
        "energetic",
        (
            "looking around, energetic head motion",
            "a lively person who moves the head a lot",
            "energetic, animated head movement",
        ),
        smile=0.25,
        brow=0.2,
        head=2.2,
        wander=0.4,
        nod=0.7,
    ),
    Mood(
        "serious",
        ("a serious person looking at the viewer", "a stern news reader", "a serious speaker"),
        smile=-0.1,
        brow=-0.3,
        head=0.6,
        wander=0.04,
        blinks=9.0,
    ),
    Mood(
        "surprised",
        ("a surprised person, raised brows", "an astonished face", "somebody amazed, brows up"),
        smile=0.1,
        brow=0.7,
        head=1.2,
        blinks=9.0,
    ),
    Mood(
        "angry",
        ("an angry person, frowning", "a frowning face with lowered brows", "somebody furious"),
        smile=-0.35,
        brow=-0.7,
        eye=0.9,
        head=1.3,
        wander=0.05,
        nod=0.6,
    ),
    Mood(
        "tired",
        ("a tired person with heavy eyelids", "a sleepy face", "somebody exhausted and slow"),
        smile=-0.1,
        brow=-0.1,
        eye=0.68,
        head=0.45,
        nod=0.2,
        pitch=-0.1,
        blinks=15.0,
    ),
    Mood(
        "shy",
        ("a shy person who looks away", "a bashful smile, eyes averted", "somebody timid"),
        smile=0.3,
        head=0.8,
        wander=0.55,
        nod=0.25,
        pitch=-0.12,
        gaze_y=-0.4,
        blinks=14.0,
    ),
    Mood(
        "attentive",
        ("an attentive listener, nodding", "a friendly person who nods", "a kind, nodding face"),
        smile=0.35,
        brow=0.25,
        nod=0.9,
        wander=0.08,
    ),
)


def draw_mood(rng: np.random.Generator, split: Split) -> tuple[Mood, str]:
    """A mood and a prompt that describes it, in the words of `split`."""
    mood = MOODS[rng.integers(len(MOODS))]
    phrases = mood.phrases[:-1] if split == "train" else mood.phrases[-1:]
    return mood, phrases[rng.integers(len(phrases))]


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


def live(rng: np.random.Generator, mood: Mood, pcm: Pcm, frames: int) -> Motion:
    """Everything but the mouth: a motion [frames, 17] whose mouth is still closed.

    `pcm` is the clean sound [n] that is spoken meanwhile; zeros for a face that listens.
    """
    voice = prosody(pcm, frames)
    speaking = gaussian_filter1d(maximum_filter1d(voice.loudness, 25), 6.0)
    speaking = np.clip(1.6 * speaking, 0.0, 1.0)
    motion = neutral(frames)
    yaw, pitch, roll = _head(rng, mood, voice, speaking)
    gaze_x, gaze_y = _gaze(rng, mood, frames)
    gaze_x = gaze_x - 0.4 * yaw  # eyes stay on the viewer while the head turns
    brow_left, brow_right = _brows(rng, mood, voice)
    lids = _lids(rng, mood, gaze_y) * _blinks(rng, mood, speaking)
    smile = mood.smile + 0.08 * _drift(rng, frames, 1.5) * (1.0 + speaking)
    _put(motion, yaw=yaw, pitch=pitch, roll=roll, gaze_x=gaze_x, gaze_y=gaze_y)
    _put(motion, brow_left=brow_left, brow_right=brow_right, smile=smile)
    _put(motion, eye_left=lids, eye_right=lids, breath=_breath(rng, frames))
    return motion


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
    frames = len(speaking)
    energy = mood.head * (0.45 + 0.55 * speaking)
    limit = _IDLE_LIMIT + (_SPEAKING_LIMIT - _IDLE_LIMIT) * np.maximum(speaking, mood.head > 2.0)
    quick = speaking * mood.head
    yaw = 0.22 * energy * _drift(rng, frames, 1.8) + 0.07 * quick * _drift(rng, frames, 0.5)
    pitch = 0.14 * energy * _drift(rng, frames, 1.6) + mood.pitch + 0.06 * rng.standard_normal()
    pitch = pitch + _nods(rng, mood, voice, frames)
    roll = 0.16 * energy * _drift(rng, frames, 2.0) + 0.05 * quick * _drift(rng, frames, 0.7)
    yaw = yaw + 0.08 * rng.standard_normal()
    return _limited(yaw, limit), _limited(pitch, limit), _limited(roll, limit)


def _nods(rng: np.random.Generator, mood: Mood, voice: Prosody, frames: int) -> Curve:
    """Down with a stress and up again: starts with the loudness peak, never before it."""
    curve = np.zeros(frames)
    for frame in voice.stresses[rng.random(len(voice.stresses)) < mood.nod]:
        length = int(rng.integers(9, 15))
        depth = rng.uniform(0.08, 0.26) * np.sqrt(mood.head)
        shape = -depth * np.square(np.sin(np.pi * (np.arange(length) + 0.5) / length))
        end = min(frames, frame + length)
        curve[frame:end] += shape[: end - frame]
    return curve


def _gaze(rng: np.random.Generator, mood: Mood, frames: int) -> tuple[Curve, Curve]:
    """Fixations of 0.3 to 2 s, mostly on the viewer; the eye jumps within two frames."""
    target = np.zeros((frames, 2))
    frame = 0
    while frame < frames:
        if rng.random() < mood.wander:
            side = rng.uniform(0.3, 0.8) * rng.choice([-1.0, 1.0])
            point, length = (side, mood.gaze_y + rng.uniform(-0.3, 0.3)), rng.integers(8, 40)
        else:
            point, length = tuple(rng.normal(0.0, 0.05, 2)), rng.integers(8, 50)
        target[frame : frame + int(length)] = point
        frame += int(length)
    delayed = np.concatenate([target[:1], target[:-1]])
    eased = 0.6 * target + 0.4 * delayed
    return np.asarray(eased[:, 0]), np.asarray(eased[:, 1])


def _brows(rng: np.random.Generator, mood: Mood, voice: Prosody) -> tuple[Curve, Curve]:
    """Up where the voice goes up or is stressed; slightly different left and right."""
    frames = len(voice.loudness)
    rise = 0.5 * np.maximum(voice.pitch, 0.0)
    for frame in voice.stresses[rng.random(len(voice.stresses)) < 0.25]:
        shape = rng.uniform(0.15, 0.4) * np.sin(np.pi * (np.arange(14) + 0.5) / 14)
        end = min(frames, frame + 14)
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


def lids_of(motion: Motion) -> NDArray[np.float32]:
    """The lids of a motion [frames, 17] as a model is told of them [frames]: see `soul.model.lids`.

    1 but for blinks: how far the eyes are open at rest is the mood's, and not told.
    """
    open_ = motion[:, COLUMN["eye_left"]]
    share = open_ / np.median(open_)
    blinking = maximum_filter1d((share < 0.5).astype(np.int8), 5) > 0
    return np.where(blinking, np.minimum(share, 1.0), 1.0).astype(np.float32)


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

"""Does the mouth go with the voice? A coarse check, by correlation, for clips of a few seconds.

Two curves at 25/s: how loud the voice is where vowels are, and how far the mouth is from closed. A
detector that measures the lips gives the second one; else it is read off the pixels below the
nose: an open mouth is dark inside, and it differs from how that place mostly looks. Both curves
are freed of what lasts longer than a second; then the shift within reach at which they fit best
(`soul.measure.lips.best_lag`) says how well, and how late the mouth is.

It sees dubbing, voices from off and tracks that are shifted. It is no SyncNet. On 12 drawn takes of
4.6 s with a room's noise, read off the pixels, the defaults passed all 12 true pairs of mouth and
voice (correlations 0.44 to 0.82, shifts 0 or 1 frame) and 4 of the 132 false ones; no figure
exists for filmed faces. Knows no faces but their boxes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from soul.data.config import SyncConfig
from soul.data.source import Pcm, Pictures
from soul.measure.lips import best_lag
from soul.timebase import AUDIO_RATE, FRAME_RATE, SAMPLES_PER_FRAME

Curve = NDArray[np.float64]  # [frames]

MOUTH = (0.25, 0.75, 0.62, 1.02)  # left, right, top, bottom in a face's box
SKIN = (0.2, 0.8, 0.2, 0.8)  # where a face's brightness is taken
GRID = (32, 24)  # pixels to which a mouth is brought
DARK = 0.5  # of the skin's median brightness
VOWELS = (300.0, 2500.0)  # Hz: hiss is loud while the mouth is nearly closed
SMOOTH = 3  # frames: a syllable lasts longer
SLOW = FRAME_RATE  # frames: what changes more slowly is light, head and posture


@dataclass(frozen=True, slots=True)
class Sync:
    """Correlation at the best shift, and that shift: by how many frames the mouth is late."""

    correlation: float
    lag: int


def loudness(pcm: Pcm) -> Curve:
    """Root mean square of each frame's 640 samples: [frames] in [0, 1]."""
    frames = pcm.reshape(-1, SAMPLES_PER_FRAME).astype(np.float64)
    return np.asarray(np.sqrt(np.mean(frames * frames, axis=1)), np.float64)


def voicing(pcm: Pcm) -> Curve:
    """How loud the vowels are: [frames], the square root of the loudness between 300 and 2500 Hz.

    The root brings a voice's range nearer to the mouth's.
    """
    spectrum = np.fft.rfft(pcm)
    hertz = np.fft.rfftfreq(pcm.size, 1 / AUDIO_RATE)
    spectrum[(hertz < VOWELS[0]) | (hertz > VOWELS[1])] = 0
    return np.sqrt(loudness(np.fft.irfft(spectrum, pcm.size).astype(np.float32)))


def is_silent(pcm: Pcm, config: SyncConfig) -> bool:
    """Whether even the loudest frame is below the level that counts as sound."""
    return float(loudness(pcm).max()) < 10 ** (config.silence / 20)


def movement(pictures: Pictures, boxes: NDArray[np.float64]) -> Curve:
    """How far the mouth is from closed, in no unit: [frames], from pixels and the face's boxes."""
    steady = np.stack([_mean(column, FRAME_RATE // 2) for column in boxes.T], axis=1)
    mouths, skins = zip(
        *(_mouth(picture, box) for picture, box in zip(pictures, steady, strict=True)), strict=True
    )
    mouth, skin = np.stack(mouths), np.array(skins)[:, None, None]
    dark = np.mean(mouth < DARK * skin, axis=(1, 2))
    unlike = np.mean(np.abs(mouth - np.median(mouth, axis=0)), axis=(1, 2))
    return _standard(dark) + _standard(unlike)


def compare(opening: Curve, voice: Curve, config: SyncConfig) -> Sync:
    """How well a mouth's curve follows a voice's, both [frames], more than `reach` + 1 of them."""
    found = best_lag(_band(voice), _band(opening), config.reach)
    return Sync(found.correlation, found.frames)


def objection(sync: Sync, config: SyncConfig) -> str | None:
    """Why mouth and voice do not belong together; None if they may."""
    if sync.correlation < config.correlation:
        return (
            f"mouth and voice correlate by {sync.correlation:.2f}; "
            f"expected at least {config.correlation:g}"
        )
    if abs(sync.lag) > config.lag:
        side = "late" if sync.lag > 0 else "early"
        milliseconds = 1000 * abs(sync.lag) // FRAME_RATE
        return (
            f"the mouth is {milliseconds} ms {side}; "
            f"expected at most {1000 * config.lag // FRAME_RATE}"
        )
    return None


def _mouth(picture: NDArray[np.uint8], box: Curve) -> tuple[NDArray[np.float64], float]:
    """The mouth's place, grey, on the grid, and the skin's median brightness."""
    skin = cv2.cvtColor(_part(picture, box, SKIN), cv2.COLOR_RGB2GRAY)
    grey = cv2.cvtColor(_part(picture, box, MOUTH), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, GRID, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float64), float(np.median(skin))


def _part(
    picture: NDArray[np.uint8], box: Curve, part: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    """A part of a face's box, at least a pixel of the picture."""
    left, right, top, bottom = part
    height, width = picture.shape[:2]
    x0 = int(np.clip(box[0] + left * box[2], 0, width - 1))
    x1 = int(np.clip(box[0] + right * box[2], x0 + 1, width))
    y0 = int(np.clip(box[1] + top * box[3], 0, height - 1))
    y1 = int(np.clip(box[1] + bottom * box[3], y0 + 1, height))
    return picture[y0:y1, x0:x1]


def _band(curve: Curve) -> Curve:
    """Freed of flicker, and of what lasts longer than a second."""
    return _mean(curve, SMOOTH) - _mean(curve, SLOW)


def _mean(curve: Curve, width: int) -> Curve:
    """Weighted mean over `width` frames (a Hann window), the ends held."""
    window = np.hanning(width + 2)[1:-1]
    before, after = (width - 1) // 2, width // 2
    padded = np.pad(curve, (before, after), "edge")
    return np.asarray(np.convolve(padded, window / window.sum(), "valid"), np.float64)


def _standard(curve: Curve) -> Curve:
    spread = float(curve.std())
    return (curve - curve.mean()) / spread if spread > 1e-9 else np.zeros_like(curve)

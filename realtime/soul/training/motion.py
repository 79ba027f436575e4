"""What moves in a portrait: the ground truth of the drawn world, one row a frame.

A motion is a float32 matrix [frames, len(CHANNELS)]; `COLUMN` gives a channel's place. All values
are unitless; 0 is the neutral, attentive face with closed lips, except the eyes, where 1 is open.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Motion: TypeAlias = NDArray[np.float32]

CHANNELS: tuple[str, ...] = (
    "yaw",  # -1 .. 1, head turned to its left .. right, 1 is about 20 degrees
    "pitch",  # -1 .. 1, down .. up, 1 is about 15 degrees
    "roll",  # -1 .. 1, tilt, 1 is about 10 degrees
    "breath",  # -1 .. 1, shoulders and chest sink .. rise
    "mouth_open",  # 0 .. 1, distance of the lips' inner edges; 0 is closed
    "mouth_wide",  # -1 .. 1, rounded (oo) .. spread (ee)
    "lips_press",  # 0 .. 1, lips pressed together as on /p b m/ (only with mouth_open 0)
    "jaw",  # 0 .. 1, how far the jaw and chin are dropped
    "teeth",  # 0 .. 1, how much of the upper teeth shows in an open mouth
    "tongue",  # 0 .. 1, tongue raised and visible (l, th, n)
    "smile",  # -1 .. 1, corners of the mouth down .. up
    "eye_left",  # 0 .. 1, closed .. open
    "eye_right",  # 0 .. 1
    "gaze_x",  # -1 .. 1, left .. right
    "gaze_y",  # -1 .. 1, down .. up
    "brow_left",  # -1 .. 1, lowered .. raised
    "brow_right",  # -1 .. 1
)
COLUMN: dict[str, int] = {name: index for index, name in enumerate(CHANNELS)}


def neutral(frames: int) -> Motion:
    """A face at rest: [frames, channels] of zeros with both eyes open."""
    motion = np.zeros((frames, len(CHANNELS)), np.float32)
    motion[:, COLUMN["eye_left"]] = 1.0
    motion[:, COLUMN["eye_right"]] = 1.0
    return motion

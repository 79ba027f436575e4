"""How a portrait moves: one smooth map of the picture's plane, driven by a row of motion.

Everything that is drawn passes through `Rig.map`, so the optical flow of the world is known
exactly (`flow`). Only what opens and closes (lids, iris, the gap between the lips) is drawn on
top of the map. Units: the picture is 256 wide and high, y points down. Directions of yaw, roll and
gaze are the drawn person's own: their left is the viewer's right. Knows no colours and no canvas.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from soul.training.motion import COLUMN
from soul.training.world.identity import CENTRE, Identity

Points: TypeAlias = NDArray[np.float32]  # [N, 2]
Row: TypeAlias = NDArray[np.float32]  # [17], see soul.training.motion

UNITS = 256.0
YAW, PITCH, NOSE = 12.0, 9.0, 4.0  # units of shift at the middle of the face, and the nose's more
ROLL = float(np.radians(8.0))
BREATH, JAW, CHIN_WITH_OPEN = 3.0, 10.0, 3.0
NECK_Y = 212.0
FIXED_POINT_STEPS = 9


def value(row: Row, channel: str) -> float:
    """One channel of a row."""
    return float(row[COLUMN[channel]])


def _bump(x: Points, y: Points, cx: float, cy: float, rx: float, ry: float) -> Points:
    q = ((x - cx) * (1.0 / rx)) ** 2 + ((y - cy) * (1.0 / ry)) ** 2
    bump: Points = np.exp(-q)
    return bump


def _ease(t: NDArray[np.floating[Any]]) -> Points:
    clipped: Points = np.clip(np.asarray(t, np.float32), 0.0, 1.0)
    return clipped * clipped * (3.0 - 2.0 * clipped)


@dataclass(frozen=True, slots=True)
class Weights:
    """What each channel does to each point: [N] arrays, computed once for points that stay."""

    head: Points
    depth: Points
    nose: Points
    jaw: Points
    shoulders: Points
    wide: Points
    corner: Points
    lip_up: Points
    lip_down: Points


class Rig:
    """The deformation of one person: `map` takes neutral points to where a row puts them."""

    def __init__(self, identity: Identity) -> None:
        face = identity.face
        self._mouth_y = face.mouth_y
        self._mouth_half = identity.mouth.half
        self._chin_y = face.chin_y
        self._nose_y = face.nose_y

    def weigh(self, points: Points) -> Weights:
        """The weights of neutral points [N, 2]."""
        x, y = points[:, 0], points[:, 1]
        u = (x - CENTRE) * (1.0 / self._mouth_half)
        q = ((x - CENTRE) * (1 / 96.0)) ** 2 + ((y - 108.0) * (1 / 112.0)) ** 2
        head = 1.0 - _ease((q - 0.55) * (1 / 2.0))
        below = _ease((y - (self._mouth_y - 14.0)) * (1.0 / (self._chin_y - self._mouth_y + 4.0)))
        above_neck = 1.0 - _ease((y - self._chin_y + 4.0) * (1 / 44.0))
        mouth = np.exp(-(((y - self._mouth_y) * (1 / 17.0)) ** 2))
        spread = np.exp(0.5 - 0.5 * u * u) * u
        return Weights(
            head=head,
            depth=0.3 * head + 0.7 * _bump(x, y, CENTRE, 122.0, 68.0, 88.0),
            nose=_bump(x, y, CENTRE, self._nose_y - 4.0, 19.0, 22.0),
            jaw=below * above_neck * np.exp(-(((x - CENTRE) * (1 / 66.0)) ** 2)),
            shoulders=_ease((y - 190.0) * (1 / 46.0)),
            wide=mouth * spread,
            corner=mouth * u * u * np.exp(1.0 - u * u),
            lip_up=_bump(x, y, CENTRE, self._mouth_y - 11.0, 26.0, 10.0),
            lip_down=_bump(x, y, CENTRE, self._mouth_y + 13.0, 30.0, 14.0),
        )

    def move(self, points: Points, weights: Weights, row: Row) -> Points:
        """Neutral points [N, 2] with their weights → where they are under `row`, [N, 2]."""
        yaw, pitch = value(row, "yaw"), value(row, "pitch")
        opened = value(row, "mouth_open")
        w = weights
        turn = w.depth * YAW + w.nose * NOSE
        x = points[:, 0] - yaw * turn
        y = points[:, 1] - pitch * (w.depth * PITCH + w.nose * (0.5 * NOSE))
        wide = value(row, "mouth_wide")
        x = x + w.wide * (6.0 * wide if wide > 0.0 else 10.0 * wide)
        y = y - w.corner * (5.5 * value(row, "smile"))
        y = y + w.jaw * (JAW * value(row, "jaw") + CHIN_WITH_OPEN * opened)
        y = y + opened * (4.0 * w.lip_down - 2.5 * w.lip_up)
        y = y - w.shoulders * (BREATH * value(row, "breath"))
        # positive roll tilts towards the person's right: anticlockwise for the viewer
        angle = w.head * (ROLL * value(row, "roll"))
        cos, sin = np.cos(angle), np.sin(angle)
        dx, dy = x - CENTRE, y - NECK_Y
        return np.stack((CENTRE + cos * dx + sin * dy, NECK_Y - sin * dx + cos * dy), 1).astype(
            np.float32
        )

    def map(self, points: Points, row: Row) -> Points:
        """Neutral points [N, 2] → where they are under `row`, [N, 2]."""
        points = np.asarray(points, np.float32)
        return self.move(points, self.weigh(points), row)

    def unmap(self, points: Points, row: Row) -> Points:
        """The inverse of `map`, by fixed-point iteration (the map is a contraction's neighbour)."""
        neutral = points
        for _ in range(FIXED_POINT_STEPS):
            neutral = neutral + (points - self.map(neutral, row))
        return neutral


def flow(identity: Identity, row: Row, size: int) -> NDArray[np.float32]:
    """Backward flow [size, size, 2] (x, y) in pixels of `size`.

    For each output pixel (x, y), the portrait's pixel is (x, y) + flow: what a grid_sample-like
    warp of the portrait needs to show `row`. Pixel centres lie at half integers.
    """
    scale = UNITS / size
    axis = (np.arange(size, dtype=np.float32) + 0.5) * scale
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    source = Rig(identity).unmap(grid, row)
    backward: NDArray[np.float32] = ((source - grid) / scale).reshape(size, size, 2)
    return backward.astype(np.float32)

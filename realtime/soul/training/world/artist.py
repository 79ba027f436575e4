"""Draws one person: paints the still layers once, then bends them with the rig for each frame.

The painting (background, body, skin; in front: hair and glasses) is done once at a higher
resolution. A frame is that painting pulled through the rig as a triangle mesh, with eyes, brows
and mouth drawn in between. Hence frame and optical flow agree by construction.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import skia
from numpy.typing import NDArray

from soul.training.motion import neutral
from soul.training.world.beard import paint_beard, paint_moustache, paint_stubble
from soul.training.world.clothes import paint_clothes, paint_earrings, paint_glasses
from soul.training.world.hair import paint_back_hair, paint_front_hair
from soul.training.world.head import paint_ears, paint_face, paint_neck
from soul.training.world.headwear import paint_under_cloth
from soul.training.world.identity import CENTRE, Identity
from soul.training.world.live import Live, lips_of
from soul.training.world.pen import Brush
from soul.training.world.rig import UNITS, Rig, Row, Weights
from soul.training.world.scene import paint_scene

MARGIN = 32.0  # units painted beyond the picture's edge, so that a tilt shows no void
CELLS = 24  # mesh cells a side
SHARPNESS = 1.5  # texels per output pixel

Image = NDArray[np.uint8]  # [size, size, 3], RGB
Box = tuple[float, float, float, float]
Painter = Callable[[Brush, Identity], None]


@dataclass(frozen=True, slots=True)
class Regions:
    """Boxes (x0, y0, x1, y1) in pixels; left and right are the drawn person's own."""

    mouth: Box
    eye_left: Box
    eye_right: Box


@dataclass(frozen=True, slots=True)
class Mesh:
    """The triangles of one painted layer; their corners are the artist's grid."""

    texels: list[skia.Point]
    indices: list[int]
    paint: skia.Paint


class Artist:
    """Draws one person at one size. Not thread-safe: it owns one canvas."""

    def __init__(self, identity: Identity, size: int = 256) -> None:
        if size < 16:
            raise ValueError(f"size {size} must be at least 16 pixels")
        self.identity, self.size = identity, size
        self._rig = Rig(identity)
        self._live = Live(identity, self._rig)
        self._pixels: NDArray[np.uint8] = np.zeros((size, size, 4), np.uint8)
        self._surface = skia.Surface(self._pixels, skia.kRGBA_8888_ColorType)
        self._canvas: skia.Canvas = self._surface.getCanvas()
        self._canvas.scale(size / UNITS, size / UNITS)
        density = SHARPNESS * size / UNITS
        axis = np.linspace(-MARGIN, UNITS + MARGIN, CELLS + 1, dtype=np.float32)
        self._grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        self._weights: Weights = self._rig.weigh(self._grid)
        self._back = self._mesh(_paint(identity, density, _paint_back), density)
        self._front = self._mesh(_paint(identity, density, _paint_front), density)

    def portrait(self) -> Image:
        """The person at rest: uint8 [size, size, 3]."""
        row: Row = neutral(1)[0]
        return self.frame(row)

    def frame(self, row: Row) -> Image:
        """The person under one row of motion [17]: uint8 [size, size, 3]."""
        moved = self._rig.move(self._grid, self._weights, row)
        corners = [skia.Point(x, y) for x, y in moved.tolist()]
        self._pull(self._back, corners)
        self._live.draw(Brush(self._canvas), row)
        if self._front.indices:
            self._pull(self._front, corners)
        frame: Image = np.empty((*self._pixels.shape[:2], 3), np.uint8)
        for channel in range(3):  # far faster than one strided copy
            frame[:, :, channel] = self._pixels[:, :, channel]
        return frame

    def _pull(self, mesh: Mesh, corners: list[skia.Point]) -> None:
        kind = skia.Vertices.VertexMode.kTriangles_VertexMode
        vertices = skia.Vertices(kind, corners, mesh.texels, None, mesh.indices)
        self._canvas.drawVertices(vertices, mesh.paint, skia.BlendMode.kSrcOver)

    def _mesh(self, painting: NDArray[np.uint8], density: float) -> Mesh:
        image = skia.Image.fromarray(painting, skia.kRGBA_8888_ColorType)
        sampling = skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kNone)
        shader = image.makeShader(skia.TileMode.kClamp, skia.TileMode.kClamp, sampling)
        texels = (self._grid + MARGIN) * density
        return Mesh(
            texels=[skia.Point(x, y) for x, y in texels.tolist()],
            indices=_triangles(painting[:, :, 3]),
            paint=skia.Paint(Shader=shader),
        )


def _triangles(alpha: NDArray[np.uint8]) -> list[int]:
    """Two triangles for each mesh cell in which anything is painted."""
    edges = np.linspace(0, alpha.shape[0], CELLS + 1).astype(int)
    indices: list[int] = []
    for i in range(CELLS):
        for j in range(CELLS):
            y0, y1 = max(edges[i] - 2, 0), edges[i + 1] + 2
            x0, x1 = max(edges[j] - 2, 0), edges[j + 1] + 2
            if alpha[y0:y1, x0:x1].any():
                a = i * (CELLS + 1) + j
                b = a + CELLS + 1
                indices += [a, a + 1, b, a + 1, b + 1, b]
    return indices


def _paint(who: Identity, density: float, painter: Painter) -> NDArray[np.uint8]:
    """Paint one still layer with its margin: uint8 [n, n, 4]."""
    side = int(np.ceil((UNITS + 2 * MARGIN) * density))
    pixels: NDArray[np.uint8] = np.zeros((side, side, 4), np.uint8)
    surface = skia.Surface(pixels, skia.kRGBA_8888_ColorType)
    canvas = surface.getCanvas()
    canvas.scale(density, density)
    canvas.translate(MARGIN, MARGIN)
    painter(Brush(canvas), who)
    surface.flushAndSubmit()
    return pixels


def _paint_back(brush: Brush, who: Identity) -> None:
    paint_scene(brush, who.scene)
    paint_back_hair(brush, who)
    paint_neck(brush, who)
    paint_clothes(brush, who)
    paint_ears(brush, who)
    paint_earrings(brush, who)
    paint_under_cloth(brush, who)
    paint_face(brush, who)
    paint_stubble(brush, who)
    paint_beard(brush, who)


def _paint_front(brush: Brush, who: Identity) -> None:
    paint_moustache(brush, who)
    paint_front_hair(brush, who)
    paint_glasses(brush, who)


def regions(identity: Identity, row: Row, size: int) -> Regions:
    """Where mouth and eyes are under `row`, in pixels of `size`, with room around them."""
    rig = Rig(identity)
    face, eyes = identity.face, identity.eyes
    lips = lips_of(identity, row)
    mouth = rig.map(np.concatenate((lips.top, lips.bottom)), row)
    boxes = [_box(mouth, 7.0, size)]
    for side in (1.0, -1.0):
        x = CENTRE + side * face.eye_x
        corners = [
            (x + u * eyes.half, face.eye_y + v * eyes.height) for u in (-1, 1) for v in (-0.7, 0.6)
        ]
        boxes.append(_box(rig.map(np.asarray(corners, np.float32), row), 5.0, size))
    return Regions(*boxes)


def _box(points: NDArray[np.float32], room: float, size: int) -> Box:
    scale = size / UNITS
    low = np.clip((points.min(0) - room) * scale, 0.0, size)
    high = np.clip((points.max(0) + room) * scale, 0.0, size)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])

"""Which pixels of a drawn person are skin, hair, clothes and what is behind: asked of the drawing.

A part's paint is changed a little and the portrait drawn again: the pixels that follow are the
part's. So glasses, brows, eyes and lips are nobody's, and a beard is hair. Knows nothing of how
anything is drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from soul.training.world.artist import Artist
from soul.training.world.color import Rgb
from soul.training.world.identity import Identity

Mask = NDArray[np.bool_]  # [size, size]

STEP = 0.1  # how far a paint is moved, of 1
MARGIN = 5 / 256  # of the picture's side: left out at every edge, where a head that turns uncovers
_LEAST = 0.3  # share of a pixel's colour that follows a paint; shadows on skin follow less


@dataclass(frozen=True, slots=True)
class Parts:
    """Bool masks [size, size] of a portrait at rest, without what lies near an edge of the part."""

    skin: Mask
    hair: Mask
    clothes: Mask
    background: Mask


def parts(identity: Identity, size: int) -> Parts:
    """The parts of `identity`'s portrait of `size` pixels a side; a bald head has no hair."""
    still = _portrait(identity, size)
    shares = np.stack([_share(identity, still, repaint) for repaint in _REPAINTS])
    owner = np.where(shares.max(0) >= _LEAST, shares.argmax(0), len(_REPAINTS))
    rounds = max(1, round(MARGIN * size))
    masks = [binary_erosion(owner == part, iterations=rounds) for part in range(len(_REPAINTS))]
    return Parts(*masks)


def _share(
    identity: Identity, still: NDArray[np.float64], repaint: "Repaint"
) -> NDArray[np.float64]:
    """[size, size]: how much of each pixel follows a paint, 0 .. 1.

    The smaller of the answers to two steps: a choice that the drawing makes by colour (a head
    cloth unlike the skin) may jump at one of them.
    """
    drawn = [still, *(_portrait(repaint(identity, n * STEP), len(still)) for n in (1, 2))]
    changes = [np.abs(b - a).max(-1) for a, b in pairwise(drawn)]
    share: NDArray[np.float64] = np.minimum(*changes) / (255.0 * STEP)
    return share


def _portrait(identity: Identity, size: int) -> NDArray[np.float64]:
    return Artist(identity, size).portrait().astype(np.float64)


def _moved(color: Rgb, step: float) -> Rgb:
    """`color` with each channel `step` nearer to, and past, the middle: never clipped."""
    red, green, blue = (c + step if c < 0.5 else c - step for c in color)
    return (red, green, blue)


def _skin(who: Identity, step: float) -> Identity:
    return replace(who, skin=_moved(who.skin, step))


def _hair(who: Identity, step: float) -> Identity:
    return replace(who, hair=replace(who.hair, color=_moved(who.hair.color, step)))


def _clothes(who: Identity, step: float) -> Identity:
    """Head cloths, earrings and a blazer's vest take the accent, or the garment's own colour."""
    cloth, accent = _moved(who.scene.cloth, step), _moved(who.scene.accent, step)
    return replace(who, scene=replace(who.scene, cloth=cloth, accent=accent))


def _background(who: Identity, step: float) -> Identity:
    near, far = _moved(who.scene.near, step), _moved(who.scene.far, step)
    return replace(who, scene=replace(who.scene, near=near, far=far))


Repaint = Callable[[Identity, float], Identity]
_REPAINTS: tuple[Repaint, ...] = (_skin, _hair, _clothes, _background)

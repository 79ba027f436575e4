"""The people who come with the product, and sheets to look at many at once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from soul.training.world.artist import Artist
from soul.training.world.identity import Identity, draw_identity
from soul.training.world.rig import Row

NAMES: tuple[str, ...] = (
    "Ada",
    "Bruno",
    "Clara",
    "Dev",
    "Edith",
    "Farah",
    "Grace",
    "Hugo",
    "Ines",
    "Jun",
    "Kofi",
    "Leon",
)
BUILT_IN: tuple[int, ...] = (292, 335, 277, 204, 282, 341, 237, 250, 249, 325, 297, 216)
PORTRAIT_SIZE = 512


def draw_built_in(name: str) -> Identity:
    """One of the people in `NAMES`."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is not a built-in person: expected one of {', '.join(NAMES)}")
    return draw_identity(np.random.default_rng(BUILT_IN[NAMES.index(name)]))


def contact_sheet(
    identities: Sequence[Identity], rows: Sequence[Row], size: int
) -> NDArray[np.uint8]:
    """One line of the sheet a person, one column a row: uint8 [people*size, rows*size, 3]."""
    lines = []
    for identity in identities:
        artist = Artist(identity, size)
        lines.append(np.concatenate([artist.frame(row) for row in rows], axis=1))
    return np.concatenate(lines, axis=0)


def write_portraits(folder: Path) -> tuple[Path, ...]:
    """Write every built-in person as `<name>.png`, 512x512, lower-case names."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in NAMES:
        path = folder / f"{name.lower()}.png"
        Image.fromarray(Artist(draw_built_in(name), PORTRAIT_SIZE).portrait()).save(path)
        paths.append(path)
    return tuple(paths)

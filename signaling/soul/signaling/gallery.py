"""The portraits that may be chosen: the built-in ones on disk, and a bounded store of uploads.

This file does NOT know HTTP, nor how an uploaded image is read; it stores pictures that were
read and normalised already: uint8 [size, size, 3] RGB.
"""

import base64
import io
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from soul.signaling.protocol import PORTRAIT

Picture = NDArray[np.uint8]
UPLOAD = "upload:"


class UnknownPortrait(Exception):
    """No such portrait; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """One built-in portrait: its name in the protocol, its name for people, its file."""

    id: str
    name: str
    path: Path


def built_ins(folder: Path) -> tuple[BuiltIn, ...]:
    """The portraits `<id>.png` in `folder`, in the order of their names."""
    files = sorted(path for path in folder.glob("*.png") if PORTRAIT.match(path.stem))
    return tuple(BuiltIn(path.stem, path.stem.replace("-", " ").title(), path) for path in files)


class Uploads:
    """The last `places` uploads; the one used longest ago makes room."""

    def __init__(self, places: int, new_id: Callable[[], str]) -> None:
        self._places = places
        self._new_id = new_id
        self._pictures: OrderedDict[str, Picture] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, picture: Picture) -> str:
        """Stores it; its name in the protocol."""
        name = UPLOAD + self._new_id()
        self._pictures[name] = picture
        while len(self._pictures) > self._places:
            self._pictures.popitem(last=False)
        return name

    def get(self, name: str) -> Picture:
        """The picture; UnknownPortrait if it never was or had to make room."""
        if name not in self._pictures:
            raise UnknownPortrait(f"the upload {name!r} is not here any more; upload it again")
        self._pictures.move_to_end(name)
        return self._pictures[name]


def data_url(picture: Picture) -> str:
    """`picture` as a PNG that a page can show at once."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

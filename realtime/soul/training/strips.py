"""Video strips: a few consecutive frames of a model above the same frames of the world's renders.

Chosen where a mouth tells most: its widest opening, a /p b m/ between open sounds, the middle of a
silence, a blink. Knows no models and no pages.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from soul.measure.life import blinks, runs
from soul.timebase import FRAME_RATE

Frames = NDArray[np.uint8]
Curve = NDArray[np.float32]

LENGTH = 7  # frames in a strip; the telling one is in the middle
FACE = (44, 58, 212, 226)  # x0, y0, x1, y1: what is shown of a frame of 256x256
GAP = 3  # pixels between two pictures
QUALITY = 88  # of a WebP: a strip of faces is a tenth of its PNG
NEAR = 4  # frames: how far around a closure the mouth is looked at


@dataclass(frozen=True)
class Moment:
    """A telling frame of a take and why it tells: "open", "closure", "silence", "blink", ..."""

    kind: str
    frame: int


@dataclass(frozen=True)
class Strip:
    """Pictures [LENGTH, h, w, 3] of the model and of the world, from frame `first` on."""

    moment: Moment
    first: int
    model: Frames
    renders: Frames

    @property
    def seconds(self) -> tuple[float, float]:
        """When the strip begins and ends."""
        return self.first / FRAME_RATE, (self.first + len(self.model)) / FRAME_RATE


def moments(
    opening: Curve, closures: NDArray[np.int64], silent: NDArray[np.bool_], told: Curve
) -> list[Moment]:
    """The telling frames of a take [T], as far as it has them; `told` are the model's own lids."""
    found = []
    if opening.max() > 0:
        found.append(Moment("open", int(np.argmax(opening))))
    inside = closures[(closures >= NEAR) & (closures < opening.size - NEAR)]
    if inside.size:
        found.append(Moment("closure", int(max(inside, key=lambda at: opened_around(opening, at)))))
    if silent.any():
        found.append(Moment("silence", middle_of_longest(silent)))
    if (starts := blinks(told)).size:
        found.append(Moment("blink", int(starts[0]) + 1))
    return found


def opened_around(opening: Curve, frame: int) -> float:
    """How far the mouth is open both shortly before and shortly after a frame."""
    before, after = opening[frame - NEAR : frame], opening[frame + 1 : frame + NEAR + 1]
    return float(min(before.max(), after.max()))


def middle_of_longest(mask: NDArray[np.bool_]) -> int:
    """The middle of the first longest run of a mask that has one."""
    start, end = max(runs(mask), key=lambda run: run[1] - run[0])
    return (start + end - 1) // 2


def strip_at(moment: Moment, model: Frames, renders: Frames) -> Strip:
    """The frames around a moment; a take's ends move the window, not its length."""
    x0, y0, x1, y1 = FACE
    first = int(np.clip(moment.frame - LENGTH // 2, 0, max(0, len(model) - LENGTH)))
    shown = slice(first, first + LENGTH)
    parts = (pictures[shown, y0:y1, x0:x1].copy() for pictures in (model, renders))
    return Strip(moment, first, *parts)


def overview(kind: str, portrait: Frames, model: Frames, renders: Frames, shown: range) -> Strip:
    """A portrait [H, W, 3], then frames at even distances of those of a take that are `shown`."""
    x0, y0, x1, y1 = FACE
    at = np.linspace(shown.start, shown.stop - 1, LENGTH - 1).astype(int)
    parts = (
        np.concatenate((portrait[None], pictures[at]))[:, y0:y1, x0:x1]
        for pictures in (model, renders)
    )
    return Strip(Moment(kind, shown.start), shown.start, *parts)


def write_strip(strip: Strip, path: Path) -> None:
    """The strip as one picture, WebP or PNG: model above, world below, see-through gaps between."""
    count, height, width = strip.model.shape[:3]
    sheet = np.zeros((2 * height + GAP, count * (width + GAP) - GAP, 4), np.uint8)
    for row, pictures in enumerate((strip.model, strip.renders)):
        top = row * (height + GAP)
        for index, picture in enumerate(pictures):
            left = index * (width + GAP)
            sheet[top : top + height, left : left + width, :3] = picture
            sheet[top : top + height, left : left + width, 3] = 255
    Image.fromarray(sheet).save(path, quality=QUALITY)

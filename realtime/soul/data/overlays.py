"""What lies over the picture: writing that can be read, and black borders.

RapidOCR reads (PaddleOCR's networks, which come inside its wheel). Writing in the scene counts
like a subtitle: a model would learn to invent either. Knows no clips.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidocr import RapidOCR
from rapidocr.utils.output import RapidOCROutput

from soul.data.config import OverlayConfig
from soul.data.source import Pictures

Image = NDArray[np.uint8]  # [height, width, 3], RGB

BLACK = 6  # of 255: a border after encoding; a dark room is noisier


@dataclass(frozen=True, slots=True)
class Writing:
    """A line of text: what it says, how sure that is, and its area as a share of the picture."""

    text: str
    score: float
    area: float


Reader = Callable[[Image], Sequence[Writing]]


@dataclass(frozen=True, slots=True)
class Overlay:
    """The worst of several looks: the share under writing, what it says, and black borders."""

    area: float
    text: str
    bars: float


def reader() -> Reader:
    """Finds and reads lines of text, on one thread: the clips are what runs in parallel."""
    engine = RapidOCR(
        params={
            "Global.log_level": "error",  # "nothing found" is a warning to it
            "Global.use_cls": False,  # only tells text that stands on its head
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )

    def read(image: Image) -> list[Writing]:
        found = engine(np.ascontiguousarray(image[:, :, ::-1]))
        if not isinstance(found, RapidOCROutput):
            raise TypeError(f"RapidOCR gave {found!r}; expected lines of text")
        if found.boxes is None or found.txts is None or found.scores is None:
            return []
        whole = image.shape[0] * image.shape[1]
        return [
            Writing(str(text), float(score), _area(box) / whole)
            for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        ]

    return read


def look_over(pictures: Pictures, read: Reader, config: OverlayConfig) -> Overlay:
    """Look at some pictures of a clip, evenly spread."""
    edges = np.linspace(0, len(pictures), config.looks + 1)
    looks = pictures[((edges[:-1] + edges[1:]) / 2).astype(int)]
    worst, said = 0.0, ""
    for picture in looks:
        lines = [line for line in read(picture) if _counts(line, config)]
        area = sum(line.area for line in lines)
        if area > worst:
            worst, said = area, " / ".join(line.text for line in lines)
    return Overlay(worst, said, bars(looks))


def objection(overlay: Overlay, config: OverlayConfig) -> str | None:
    """Why the picture is not clean; None if it is."""
    if overlay.area > config.text:
        return (
            f"writing over {overlay.area:.2%} of the picture ({overlay.text!r}); "
            f"expected at most {config.text:.2%}"
        )
    if overlay.bars > config.bars:
        return f"black borders of {overlay.bars:.1%}; expected at most {config.bars:.1%}"
    return None


def bars(pictures: Pictures) -> float:
    """The share of the height, or of the width if that is more, that is black on both sides."""
    bright = pictures.max(axis=(0, 3))
    return max(_border(bright.max(axis=1)), _border(bright.max(axis=0)))


def _border(lines: NDArray[np.uint8]) -> float:
    """Of lines [n], the share in the two black borders; 0 if one side has none, or all is black."""
    lit = np.flatnonzero(lines > BLACK)
    if not lit.size:
        return 0.0
    before, after = int(lit[0]), len(lines) - 1 - int(lit[-1])
    return (before + after) / len(lines) if before and after else 0.0


def _counts(line: Writing, config: OverlayConfig) -> bool:
    letters = sum(character.isalnum() for character in line.text)
    return line.score >= config.sure and letters >= config.letters


def _area(box: NDArray[np.float32]) -> float:
    """Of a polygon [corners, 2], by the shoelace."""
    x, y = np.asarray(box, np.float64).T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)

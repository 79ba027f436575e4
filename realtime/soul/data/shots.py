"""Finds the cuts of a video with PySceneDetect. Knows nothing of what is filmed.

The paper adds DINOv2's distance between frames; this is PySceneDetect alone. It finds hard cuts
under moving cameras; a slow dissolve it may take for one shot.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scenedetect import AdaptiveDetector, FrameTimecode

from soul.data.config import ShotConfig
from soul.data.source import Span
from soul.timebase import FRAME_RATE


def find_shots(pictures: Iterable[NDArray[np.uint8]], config: ShotConfig, guard: int) -> list[Span]:
    """The shots of a video's pictures, uint8 [h, w, 3] BGR at 25/s, in order.

    `guard` frames at either side of a cut belong to no shot; one with nothing else is left out.
    """
    cuts, count = _cuts(pictures, config)
    edges = [0, *cuts, count]
    return list(_shots(edges, guard))


def _cuts(pictures: Iterable[NDArray[np.uint8]], config: ShotConfig) -> tuple[list[int], int]:
    """The first frames of all shots but the first, and how many frames there are."""
    detector = AdaptiveDetector(
        adaptive_threshold=config.ratio,
        min_scene_len=2 * config.window + 1,
        window_width=config.window,
        min_content_val=config.least,
    )
    cuts: list[int] = []
    count = 0
    for picture in pictures:
        found = detector.process_frame(FrameTimecode(count, Fraction(FRAME_RATE)), picture)
        cuts += [int(code.frame_num) for code in found]
        count += 1
    return cuts, count


def _shots(edges: list[int], guard: int) -> Iterator[Span]:
    last = len(edges) - 2
    for index, (first, end) in enumerate(pairwise(edges)):
        begin = first + (guard if index else 0)
        frames = end - (guard if index < last else 0) - begin
        if frames > 0:
            yield Span(begin, frames)

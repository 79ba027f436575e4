"""Who is seen in a clip, where, and how large. Knows no sound and no clips' names.

The cascade comes inside OpenCV's wheel, so that nothing has to be downloaded; it sees faces that
look at the camera, and it is what a first look at a folder deserves. For a data set take YuNet
(`face_detection_yunet_2023mar.onnx` of OpenCV's model zoo, MIT, 0.2 MB), or anything else as
module:function: a callable that is called once and gives a `Detector`; one that also measures how
far the mouth is open makes the check of the lips sharper.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from soul.data.config import FaceConfig
from soul.data.errors import PluginError, StopError
from soul.data.plugins import load
from soul.data.source import Pictures

Image = NDArray[np.uint8]  # [height, width, 3], RGB

CASCADES = Path(cv2.__file__).parent / "data"
CASCADE = "haarcascade_frontalface_alt2.xml"
CONTRAST, TILES = 3.0, (8, 8)  # CLAHE: without it the cascade misses dark faces
STEP, NEIGHBOURS = 1.1, 3
SMALLEST = 24  # pixels: below it the cascade knows nothing
SURE = 0.7  # YuNet's score
OVERLAP = 0.3


@dataclass(frozen=True, slots=True)
class Face:
    """A box in pixels, corner and size; `opening`: how far the lips are apart, if that is known."""

    x: float
    y: float
    width: float
    height: float
    opening: float | None = None


Detector = Callable[[Image], Sequence[Face]]


@dataclass(frozen=True)
class Track:
    """The main face of a clip.

    boxes: float64 [frames, 4] as x, y, width, height in pixels; empty [0, 4] if nobody was seen.
    share, others: of the looks, those that found a face, and those that found a second one.
    opening: float64 [frames] if the detector measures it.
    """

    boxes: NDArray[np.float64]
    share: float
    others: float
    opening: NDArray[np.float64] | None

    @property
    def height(self) -> float:
        """The face's median height in pixels; 0 if nobody was seen."""
        return float(np.median(self.boxes[:, 3])) if len(self.boxes) else 0.0


def detector(name: str) -> Detector:
    """What `FaceConfig.detector` names. Raises StopError if it cannot be had."""
    if not name:
        return cascade()
    if name.endswith(".onnx"):
        return yunet(Path(name))
    made: Detector = load(name)()
    if not callable(made):
        raise PluginError(f"{name!r} gave {made!r}; expected a callable that finds faces")
    return made


def cascade() -> Detector:
    """Viola and Jones' cascade for faces from the front, on pictures of evened contrast."""
    found = cv2.CascadeClassifier(str(CASCADES / CASCADE))
    even = cv2.createCLAHE(CONTRAST, TILES)

    def look(image: Image) -> list[Face]:
        grey = even.apply(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        boxes = found.detectMultiScale(grey, STEP, NEIGHBOURS, minSize=(SMALLEST, SMALLEST))
        return [Face(*map(float, box)) for box in boxes]

    return look


def yunet(path: Path) -> Detector:
    """OpenCV's YuNet with the weights in `path`; StopError if they cannot be read."""
    try:
        net = cv2.FaceDetectorYN.create(str(path), "", (SMALLEST, SMALLEST), SURE, OVERLAP)
    except cv2.error as error:
        raise StopError(
            f"{str(path)!r} cannot be read as YuNet's weights; expected "
            "face_detection_yunet_2023mar.onnx of OpenCV's model zoo"
        ) from error

    def look(image: Image) -> list[Face]:
        net.setInputSize((image.shape[1], image.shape[0]))
        _, rows = net.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return [] if rows is None else [Face(*map(float, row[:4])) for row in rows]

    return look


def follow(pictures: Pictures, look: Detector, config: FaceConfig) -> Track:
    """Watch a clip: the largest face of every few frames, in between along straight lines.

    If the detector knows how far the mouth is open it looks at every frame.
    """
    seen = {at: look(pictures[at]) for at in range(0, len(pictures), config.every)}
    looks = len(seen)
    mains = {at: max(faces, key=lambda face: face.height) for at, faces in seen.items() if faces}
    if not mains:
        return Track(np.zeros((0, 4)), 0.0, 0.0, None)
    rivals = sum(_rivalled(seen[at], face, config.rival) for at, face in mains.items())
    share = len(mains) / looks
    return Track(
        boxes=_between(mains, len(pictures)),
        share=share,
        others=rivals / looks,
        opening=_opening(pictures, look, mains),
    )


def objection(track: Track, scale: float, config: FaceConfig) -> str | None:
    """Why this is nobody to learn from; None if it is somebody.

    `scale`: pixels of the clip that is kept for one of the pictures that were looked at.
    """
    if track.share < config.share:
        return f"a face in {track.share:.0%} of the looks; expected at least {config.share:.0%}"
    height = track.height * scale
    if height < config.height:
        return f"a face {height:.0f} pixels high; expected at least {config.height}"
    if track.others > config.others:
        return (
            f"a second face in {track.others:.0%} of the looks; "
            f"expected at most {config.others:.0%}"
        )
    return None


def _rivalled(faces: Sequence[Face], main: Face, rival: float) -> bool:
    return sum(face.height >= rival * main.height for face in faces) > 1


def _between(mains: dict[int, Face], frames: int) -> NDArray[np.float64]:
    """[frames, 4]: medians of three looks, so that one wrong one does not count, then lines."""
    looks = np.array([[f.x, f.y, f.width, f.height] for f in mains.values()], np.float64)
    padded = np.concatenate([looks[:1], looks, looks[-1:]])
    steady = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    at = np.fromiter(mains, np.float64)
    return np.stack([np.interp(np.arange(frames), at, column) for column in steady.T], axis=1)


def _opening(
    pictures: Pictures, look: Detector, mains: dict[int, Face]
) -> NDArray[np.float64] | None:
    if any(face.opening is None for face in mains.values()):
        return None
    known: dict[int, float] = {}
    for at in range(len(pictures)):
        face = mains.get(at) or max(look(pictures[at]), key=lambda f: f.height, default=None)
        if face is not None and face.opening is not None:
            known[at] = face.opening
    values = np.fromiter(known.values(), np.float64)
    return np.interp(np.arange(len(pictures)), np.fromiter(known, np.float64), values)

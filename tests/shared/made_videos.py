"""Small videos whose every picture and sample is known, for the data engine's tests.

Matroska (.mkv) takes them all; the sound is plain PCM.
"""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 16_000


def write_video(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    sound: NDArray[np.float32] | None = None,
    fps: int = 25,
    turned: int = 0,
) -> Path:
    """Pictures [h, w, 3] RGB at `fps`, and float32 [n] at 16 kHz, all but lossless.

    `turned`: degrees by which a player is told to turn the pictures counterclockwise.
    """
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", rate=fps, options={"crf": "4", "preset": "ultrafast"})
        voice = (
            film.add_stream("pcm_s16le", rate=RATE, layout="mono") if sound is not None else None
        )
        for number, picture in enumerate(pictures):
            if not number:
                video.height, video.width = picture.shape[:2]
                video.pix_fmt = "yuv420p"
                if turned:
                    video.set_display_rotation(turned)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        if voice is not None and sound is not None:
            samples = np.round(sound * 32767).astype(np.int16)[None]
            spoken = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            spoken.sample_rate, spoken.pts, spoken.time_base = RATE, 0, Fraction(1, RATE)
            film.mux([*voice.encode(spoken), *voice.encode(None)])
    return path

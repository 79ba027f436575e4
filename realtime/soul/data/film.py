"""Writes one clip: the pictures as an mp4 (H.264, 25/s), the sound as a wav (16 kHz, mono).

Knows PyAV; does not know why a clip is kept. Pictures never pass through RGB: their colours stay
what the source says they are.
"""

import wave
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from soul.data.config import ClipConfig
from soul.data.errors import SourceError, StopError
from soul.data.source import Pcm, Span, fitted, frames, probe, why
from soul.timebase import AUDIO_RATE, FRAME_RATE

CODEC = "libx264"


def write_film(path: Path, span: Span, target: Path, config: ClipConfig) -> tuple[int, int]:
    """Encodes the frames `span` of `path` into `target`; returns (width, height).

    Raises SourceError if the source breaks off, StopError if `target` cannot be written.
    """
    source = probe(path)
    size = fitted(source.width, source.height, config.largest)
    shown = islice(frames(path, span.first), span.frames)
    try:
        with av.open(str(target), "w", format="mp4") as film:
            stream = _stream(film, config.quality)
            count = 0
            for frame in shown:
                if not count:
                    _shape(stream, frame, size)
                film.mux(stream.encode(_timed(frame, size, count)))
                count += 1
            film.mux(stream.encode(None))
    except OSError as error:
        raise StopError(f"{str(target)!r} cannot be written ({why(error)})") from error
    except av.FFmpegError as error:
        raise SourceError(f"{path.name!r} cannot be encoded ({why(error)})") from error
    if count < span.frames:
        raise SourceError(f"{path.name!r} breaks off {count} frames after {span.start:.2f} s")
    return size


def write_sound(pcm: Pcm, target: Path) -> None:
    """Float32 [n] in [-1, 1] at 16 kHz → 16-bit wav; StopError if it cannot be written."""
    try:
        with wave.open(str(target), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(AUDIO_RATE)
            file.writeframes(np.round(pcm * 32767).astype("<i2").tobytes())
    except OSError as error:
        raise StopError(f"{str(target)!r} cannot be written ({error.strerror})") from error


def _stream(film: OutputContainer, quality: int) -> VideoStream:
    stream = film.add_stream(CODEC, rate=FRAME_RATE, options={"crf": str(quality)})
    if not isinstance(stream, VideoStream):
        raise ValueError(f"{CODEC} is no video codec")
    return stream


def _shape(stream: VideoStream, frame: VideoFrame, size: tuple[int, int]) -> None:
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace, context.color_range = frame.colorspace, frame.color_range
    context.color_trc, context.color_primaries = frame.color_trc, frame.color_primaries


def _timed(frame: VideoFrame, size: tuple[int, int], count: int) -> VideoFrame:
    ready = frame.reformat(*size, "yuv420p", interpolation="AREA")
    ready.pts, ready.time_base = count, Fraction(1, FRAME_RATE)
    return ready

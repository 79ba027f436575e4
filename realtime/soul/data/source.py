"""Reads a video as the rest of the engine wants it: upright pictures at 25/s, sound at 16 kHz.

Frame k of a source is what it shows in the middle of the k-th 40 ms after its first picture;
sound lies on the same axis, so that a cut is exact for both. Knows PyAV, and nothing of shots,
faces or clips.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from soul.data.errors import SourceError
from soul.timebase import AUDIO_RATE, FRAME_RATE, SAMPLES_PER_FRAME

Pictures = NDArray[np.uint8]  # [frames, height, width, 3], RGB
Pcm = NDArray[np.float32]  # [640 frames] at 16 kHz, mono

PERIOD = Fraction(1, FRAME_RATE)
LEAD = 0.5  # seconds of sound read before a clip: packets do not end where clips begin
TURNS = {90: ("cclock",), 180: ("clock", "clock"), 270: ("clock",)}  # degrees → FFmpeg's transpose


@dataclass(frozen=True, slots=True)
class Source:
    """A video as it is shown: pixels, seconds, frames/s, and whether it has a sound track."""

    width: int
    height: int
    seconds: float
    rate: float
    sound: bool


@dataclass(frozen=True, slots=True)
class Span:
    """Frames [first, first + frames) of a source at 25/s."""

    first: int
    frames: int

    @property
    def start(self) -> float:
        """Seconds."""
        return self.first / FRAME_RATE

    @property
    def seconds(self) -> float:
        return self.frames / FRAME_RATE


def probe(path: Path) -> Source:
    """What `path` is, judged by its first picture. SourceError if it is no video."""
    with _opened(path) as container:
        stream = _video(path, container)
        frame = next(iter(_shown(path, container, stream, 0)), None)
        if frame is None:
            raise SourceError(f"{path.name!r} holds no picture; expected a video")
        rate = stream.average_rate or stream.guessed_rate
        return Source(
            width=_square_width(stream, frame),
            height=frame.height,
            seconds=_seconds(path, container, stream),
            rate=float(rate) if rate else 0.0,
            sound=bool(container.streams.audio),
        )


def frames(path: Path, first: int = 0) -> Iterator[VideoFrame]:
    """Upright frames of `path` at 25/s from frame `first` on; SourceError where it is broken.

    A frame's own time stamp is the source's: the caller counts.
    """
    with _opened(path) as container:
        yield from _shown(path, container, _video(path, container), first)


def thumbnails(path: Path, side: int, form: str = "rgb24") -> Iterator[NDArray[np.uint8]]:
    """Every picture of `path` [h, w, 3] at 25/s, its shorter side `side` pixels at most."""
    source = probe(path)
    width, height = fitted(source.width, source.height, side)
    for frame in frames(path):
        yield _picture(frame, width, height, form)


def pictures(path: Path, span: Span, side: int) -> Pictures:
    """A clip's pictures, their shorter side `side` pixels at most.

    Raises SourceError if the video ends before the span does.
    """
    source = probe(path)
    width, height = fitted(source.width, source.height, side)
    found = [
        _picture(frame, width, height, "rgb24")
        for frame in islice(frames(path, span.first), span.frames)
    ]
    if len(found) < span.frames:
        raise SourceError(
            f"{path.name!r} breaks off after {len(found)} of the {span.frames} frames that begin "
            f"at {span.start:.2f} s"
        )
    return np.stack(found)


def sound(path: Path, span: Span) -> Pcm | None:
    """A clip's sound, 640 samples a frame; None without a sound track.

    Where the track begins late, has a gap or ends early there are zeros.
    """
    with _opened(path) as container:
        if not container.streams.audio:
            return None
        start = span.first * PERIOD + _origin(_video(path, container))
        heard = np.zeros(span.frames * SAMPLES_PER_FRAME, np.float32)
        try:
            for time, samples in _sounding(container, start):
                at = round((time - start) * AUDIO_RATE)
                if at >= heard.size:
                    break
                _put(heard, at, samples)
        except av.FFmpegError as error:
            raise SourceError(f"{path.name!r} has a broken sound track ({why(error)})") from error
        return np.clip(np.nan_to_num(heard), -1.0, 1.0)


def fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """The size with the same shape whose shorter side is at most `side`; both are even."""
    scale = min(1.0, side / min(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def why(error: Exception) -> str:
    """FFmpeg's reason, in its first line."""
    reason = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return str(reason).splitlines()[0] if reason else type(error).__name__


def _opened(path: Path) -> InputContainer:
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path.name!r} is empty; expected a video")
        return av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"{path.name!r} cannot be read as a video ({why(error)})") from error


def _video(path: Path, container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise SourceError(f"{path.name!r} has no pictures; expected a video")
    return container.streams.video[0]


def _origin(stream: VideoStream) -> Fraction:
    """When the first picture is shown."""
    if stream.start_time is None or stream.time_base is None:
        return Fraction(0)
    return stream.start_time * Fraction(stream.time_base)


def _seconds(path: Path, container: InputContainer, stream: VideoStream) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return container.duration / av.time_base
    raise SourceError(f"{path.name!r} does not say how long it is; expected a finished recording")


def _shown(
    path: Path, container: InputContainer, stream: VideoStream, first: int
) -> Iterator[VideoFrame]:
    """Hold each picture until the next is due, and give what is held at 25/s."""
    try:
        yield from _held(path, container, stream, first)
    except av.FFmpegError as error:
        raise SourceError(f"{path.name!r} is broken ({why(error)})") from error


def _held(
    path: Path, container: InputContainer, stream: VideoStream, first: int
) -> Iterator[VideoFrame]:
    if stream.time_base is None:
        raise SourceError(f"{path.name!r} has no time base; expected a video")
    origin, base = _origin(stream), Fraction(stream.time_base)
    if first:
        container.seek(int((first * PERIOD + origin) / base), stream=stream)
    due = first * PERIOD + PERIOD / 2
    held: VideoFrame | None = None
    turn: Callable[[VideoFrame], VideoFrame] | None = None
    rate = stream.average_rate or stream.guessed_rate
    until = Fraction(0)
    for frame in container.decode(stream):
        if frame.pts is None:
            continue
        turn = turn or _turning(stream, frame.rotation % 360)
        time = frame.pts * base - origin
        while held is not None and due < time:
            yield turn(held)
            due += PERIOD
        held = frame
        until = time + (1 / Fraction(rate) if rate else PERIOD)
    while held is not None and turn is not None and due < until:
        yield turn(held)
        due += PERIOD


def _turning(stream: VideoStream, degrees: int) -> Callable[[VideoFrame], VideoFrame]:
    """What makes frames upright that a telephone held sideways has filmed."""
    if degrees not in TURNS:
        return lambda frame: frame
    graph = Graph()
    turns = [graph.add("transpose", direction) for direction in TURNS[degrees]]
    graph.link_nodes(graph.add_buffer(template=stream), *turns, graph.add("buffersink")).configure()

    def turn(frame: VideoFrame) -> VideoFrame:
        graph.vpush(frame)
        return graph.vpull()

    return turn


def _square_width(stream: VideoStream, frame: VideoFrame) -> int:
    """The width in square pixels."""
    aspect = stream.sample_aspect_ratio
    return round(frame.width * float(aspect)) if aspect else frame.width


def _picture(frame: VideoFrame, width: int, height: int, form: str) -> NDArray[np.uint8]:
    small = frame.reformat(width, height, form, interpolation="AREA")
    return np.asarray(small.to_ndarray(), np.uint8)


def _sounding(container: InputContainer, start: Fraction) -> Iterator[tuple[Fraction, Pcm]]:
    """(seconds on the container's axis, mono samples at 16 kHz) from before `start` on."""
    stream = container.streams.audio[0]
    if start > LEAD:
        container.seek(int((float(start) - LEAD) * av.time_base))
    layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    resampler = av.AudioResampler("fltp", layout, AUDIO_RATE)
    for frame in container.decode(stream):
        for part in resampler.resample(frame):
            if part.pts is not None and part.time_base is not None:
                # the mean, not FFmpeg's own mix, which is 3 dB louder and clips
                mono = part.to_ndarray().astype(np.float32, copy=False).mean(axis=0)
                yield part.pts * Fraction(part.time_base), mono


def _put(heard: Pcm, at: int, samples: Pcm) -> None:
    """Lays `samples` into `heard` from index `at` on, as far as they belong there."""
    begin, end = max(at, 0), min(at + samples.size, heard.size)
    if begin < end:
        heard[begin:end] = samples[begin - at : end - at]

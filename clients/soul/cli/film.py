"""Writes pictures and sound into one mp4, exactly as long as the sound, or nothing at all.

Knows PyAV; does NOT know the model.
"""

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from soul.timebase import FRAME_RATE, OPUS_RATE, exact_div

VIDEO_CODECS = ("libx264", "libopenh264", "mpeg4")  # the best first
AUDIO_CODEC = "aac"
AAC_FRAME = 1024  # samples
VIDEO_OPTIONS = {
    "libx264": {"crf": "17", "preset": "veryfast", "bf": "0"},
    "libopenh264": {"rc_mode": "off"},
    "mpeg4": {"qscale": "3"},
}


class FilmError(Exception):
    """The film cannot be written; the message is one sentence."""


class Film:
    """A film in the making. Leaving it well moves it to `path`; leaving it by an error deletes it.

    `sound` float32 [channels, m] at 48 kHz decides the length, if there is any; `size` is the
    pictures' height and width in pixels. With `like`, pictures come encoded, from films of its
    kind alone: see `append`.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        sound: NDArray[np.float32],
        fps: int = FRAME_RATE,
        like: Path | None = None,
    ) -> None:
        self._path = path
        self._fps = fps
        self._ticks = exact_div(OPUS_RATE, fps)  # video times count sound samples: 1,920 at 25
        self._like = like
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._sound = sound
        self._size = size
        self._pictures = 0
        self._samples = 0

    def __enter__(self) -> Self:
        codec = "" if self._like is not None else video_codec()
        try:
            self._part.touch()  # FFmpeg opens it only when the first packet comes
        except OSError as error:
            raise FilmError(
                f"{str(self._path)!r} cannot be written ({error.strerror}); choose another --output"
            ) from None
        self._container: OutputContainer = av.open(str(self._part), "w", format="mp4")
        if self._like is None:
            self._video = _video_stream(self._container, codec, self._size, self._fps)
        else:
            self._video = _stream_like(self._container, self._like)
        layout = "mono" if len(self._sound) == 1 else "stereo"
        self._audio: AudioStream | None = None
        if self._sound.shape[1]:
            self._audio = _audio_stream(self._container, AUDIO_CODEC, layout)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
            self._container.close()
            if kind is None:
                self._part.replace(self._path)
        except (av.FFmpegError, OSError) as failure:
            raise self._failed(failure) from failure
        finally:
            self._part.unlink(missing_ok=True)

    def _failed(self, error: Exception) -> FilmError:
        return FilmError(f"{str(self._path)!r} could not be written: {error}")

    def add(self, pictures: NDArray[np.uint8]) -> None:
        """Appends pictures [n, height, width, 3] RGB, and the sound that belongs to them."""
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = self._pictures * self._ticks
            frame.time_base = Fraction(1, OPUS_RATE)
            self._pictures += 1
            self._mux(self._video.encode(frame))
        self._sound_until(self._pictures * self._ticks)

    def append(self, path: Path) -> None:
        """Appends the pictures of the film at `path` as they are encoded, and their sound."""
        try:
            with av.open(str(path)) as take:
                begins = Fraction(self._pictures * self._ticks, OPUS_RATE)
                for packet in take.demux(video=0):
                    if packet.pts is None or packet.dts is None:
                        continue  # the end of the stream
                    offset = int(begins / packet.time_base)
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = self._video
                    self._pictures += 1
                    self._mux([packet])
        except (av.FFmpegError, OSError) as failure:
            raise self._failed(failure) from failure
        self._sound_until(self._pictures * self._ticks)

    def _sound_until(self, end: int) -> None:
        while self._audio is not None and self._samples < min(end, self._sound.shape[1]):
            part = self._sound[:, self._samples : self._samples + AAC_FRAME]
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(part), format="fltp", layout=self._audio.layout.name
            )
            frame.sample_rate = OPUS_RATE
            frame.time_base = Fraction(1, OPUS_RATE)
            frame.pts = self._samples
            self._samples += part.shape[1]
            self._mux(self._audio.encode(frame))

    def _finish(self) -> None:
        self._sound_until(self._sound.shape[1])
        if self._like is None:
            self._mux(self._video.encode(None))
        if self._audio is not None:
            self._mux(self._audio.encode(None))

    def _mux(self, packets: "Sequence[Packet[Any]]") -> None:
        for packet in packets:
            if isinstance(packet.stream, VideoStream) and packet.pts is not None:
                # the last picture is shown only as long as there is sound
                left = self._ticks
                if self._audio is not None:
                    left = self._sound.shape[1] - int(packet.pts * packet.time_base * OPUS_RATE)
                ticks = min(self._ticks, max(1, left))
                packet.duration = int(Fraction(ticks, OPUS_RATE) / packet.time_base)
            try:
                self._container.mux(packet)
            except (av.FFmpegError, OSError) as failure:
                raise self._failed(failure) from failure


def pictures_for(samples: int, fps: int = FRAME_RATE) -> int:
    """How many pictures cover `samples` at 48 kHz; the last one may be shown shorter."""
    return -(-samples // exact_div(OPUS_RATE, fps))


def video_codec() -> str:
    """The best video codec that really encodes here; FilmError if there is none."""
    for name in VIDEO_CODECS:
        if can_encode(name):
            return name
    raise FilmError(f"none of the video encoders {', '.join(VIDEO_CODECS)} works on this machine")


def can_encode(codec: str, container: str = "mp4") -> bool:
    """Whether `codec` encodes a frame: a name in a list proves nothing."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as film:
            stream = _video_stream(film, codec, (64, 64), FRAME_RATE)
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = 0, Fraction(1, OPUS_RATE)
            return bool(list(stream.encode(frame)) + list(stream.encode(None)))
    except (av.FFmpegError, ValueError):
        return False


def encodes_sound(codec: str = AUDIO_CODEC, container: str = "mp4") -> bool:
    """Whether `codec` encodes a moment of silence."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as film:
            stream = _audio_stream(film, codec, "mono")
            silence = np.zeros((1, AAC_FRAME), np.float32)
            if stream.codec_context.format.name == "s16":
                silence = silence.astype(np.int16)
            frame = av.AudioFrame.from_ndarray(
                silence, format=stream.codec_context.format.name, layout="mono"
            )
            frame.sample_rate = OPUS_RATE
            return bool(list(stream.encode(frame)) + list(stream.encode(None)))
    except (av.FFmpegError, ValueError):
        return False


def _video_stream(
    container: OutputContainer, codec: str, size: tuple[int, int], fps: int
) -> VideoStream:
    stream = container.add_stream(codec, rate=fps, options=VIDEO_OPTIONS.get(codec, {}))
    if not isinstance(stream, VideoStream):
        raise ValueError(f"{codec} is no video codec")
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    if codec != "mpeg4":  # whose clock has 16 bits: it counts pictures
        stream.codec_context.time_base = Fraction(1, OPUS_RATE)
    return stream


def _stream_like(container: OutputContainer, path: Path) -> VideoStream:
    with av.open(str(path)) as film:
        return container.add_stream_from_template(film.streams.video[0])


def _audio_stream(container: OutputContainer, codec: str, layout: str) -> AudioStream:
    stream = container.add_stream(codec, rate=OPUS_RATE, layout=layout)
    if not isinstance(stream, AudioStream):
        raise ValueError(f"{codec} is no audio codec")
    return stream

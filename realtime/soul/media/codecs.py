"""Opus and VP8 through PyAV, one object a direction and a call. Knows no RTP, no loop, no time.

Sound is coded at 16 kHz mono as it is, which Opus takes natively: no resampling on the way out.
"""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from soul.media.clock import VIDEO_RATE
from soul.media.packets import Image, Samples
from soul.timebase import AUDIO_RATE, FRAME_RATE, OPUS_RATE


class CodecError(Exception):
    """A packet that is no packet of its codec."""


class OpusDecoder:
    """Opus packets → [n] float32 at 48 kHz, mono."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "r")
        codec.sample_rate = OPUS_RATE
        codec.layout = "mono"
        codec.format = "s16"
        codec.thread_count = 1  # left alone, libav starts one a core, and each call has its own
        self._codec = codec

    def decode(self, payload: bytes) -> Samples:
        """Raises CodecError if `payload` is not Opus."""
        if not payload:  # libavcodec would take it for the end of the stream
            raise CodecError("0 bytes are no Opus packet: expected at least 1")
        try:
            frames = self._codec.decode(av.Packet(payload))
        except av.FFmpegError as error:
            raise CodecError(f"{len(payload)} bytes are no Opus packet: {error}") from error
        parts = [frame.to_ndarray().reshape(-1) for frame in frames]
        if not parts:
            return np.zeros(0, np.float32)
        return np.concatenate(parts).astype(np.float32) / np.float32(32768)


class OpusEncoder:
    """20 ms of 16 kHz mono → one Opus packet."""

    def __init__(self, bitrate: int = 32_000) -> None:
        codec = av.CodecContext.create("libopus", "w")
        codec.sample_rate = AUDIO_RATE
        codec.layout = "mono"
        codec.format = "s16"
        codec.bit_rate = bitrate
        codec.time_base = Fraction(1, AUDIO_RATE)
        codec.thread_count = 1
        codec.options = {"application": "voip", "frame_duration": "20", "compression_level": "5"}
        self._codec = codec

    def encode(self, samples: Samples) -> bytes:
        """[320] float32 → payload."""
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = AUDIO_RATE
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """Bits per second, and how reluctantly a new estimate of the path is followed."""

    bitrate: int = 600_000
    min_bitrate: int = 150_000
    max_bitrate: int = 1_500_000
    damping: float = 0.25  # changes under this share are ignored: each one costs a key frame
    frames_before_less: int = 2 * FRAME_RATE  # a jammed path is relieved soon
    frames_before_more: int = 20 * FRAME_RATE  # estimates of an idle path rise and fall


class Vp8Encoder:
    """RGB pictures → VP8 frames for real time; the size is the first picture's."""

    def __init__(self, config: VideoConfig | None = None) -> None:
        self._config = config or VideoConfig()
        self._bitrate = self._config.bitrate
        self._since_change = self._config.frames_before_more
        self._codec: VideoCodecContext | None = None
        self._reformatter = VideoReformatter()

    @property
    def bitrate(self) -> int:
        return self._bitrate

    def suggest_bitrate(self, bitrate: int) -> None:
        """Follow the receiver's estimate, within bounds and damped."""
        wanted = min(max(bitrate, self._config.min_bitrate), self._config.max_bitrate)
        less, change = wanted < self._bitrate, abs(wanted - self._bitrate) / self._bitrate
        pause = self._config.frames_before_less if less else self._config.frames_before_more
        if change > self._config.damping and self._since_change >= pause:
            self._bitrate, self._since_change, self._codec = wanted, 0, None

    def encode(self, image: Image, pts: int, key: bool) -> bytes:
        """[height, width, 3] at `pts` in 90 kHz ticks → payload; empty if the encoder drops it."""
        height, width = image.shape[:2]
        if self._codec is None or (self._codec.width, self._codec.height) != (width, height):
            self._codec = self._open(width, height)
        picture = av.VideoFrame.from_ndarray(image, format="rgb24")
        # One thread: otherwise libav starts and ends one a core for every picture.
        frame = self._reformatter.reformat(picture, format="yuv420p", threads=1)
        frame.pts, frame.time_base = pts, Fraction(1, VIDEO_RATE)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._since_change += 1
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))

    def close(self) -> None:
        """Free libvpx's and swscale's memory now; a next picture would open them anew."""
        self._codec, self._reformatter = None, VideoReformatter()

    def _open(self, width: int, height: int) -> VideoCodecContext:
        codec = av.CodecContext.create("libvpx", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.time_base = Fraction(1, VIDEO_RATE)
        codec.framerate = Fraction(FRAME_RATE)
        codec.bit_rate = self._bitrate
        codec.gop_size = 3_000
        codec.qmin, codec.qmax = 2, 52
        codec.thread_count = 1
        codec.options = {
            "bufsize": str(self._bitrate),
            "minrate": str(self._bitrate),
            "maxrate": str(self._bitrate),
            "cpu-used": "-6",
            "deadline": "realtime",
            "lag-in-frames": "0",
            "error-resilient": "default",
            "static-thresh": "1",
            "undershoot-pct": "100",
            "overshoot-pct": "15",
        }
        return codec

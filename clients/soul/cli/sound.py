"""Reads a sound file for `soul animate`, whatever its rate, layout or sample format.

Knows PyAV; does NOT know the model or pictures.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import psutil
from numpy.typing import NDArray

from soul.timebase import AUDIO_RATE, OPUS_RATE

BYTES = 4 * 2 * 2  # of a sample: float32, two channels, and once more while parts are joined


class SoundError(Exception):
    """The file holds no sound that can be used; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Sound:
    """One recording: `speech` float32 [n] mono 16 kHz for the model, `film` float32
    [channels, m] at 48 kHz for the sound track."""

    speech: NDArray[np.float32]
    film: NDArray[np.float32]

    @property
    def seconds(self) -> float:
        return len(self.speech) / AUDIO_RATE


def read_sound(path: Path) -> Sound:
    """All of the sound in `path`; SoundError if it is missing, empty, broken or too long."""
    if not path.is_file():
        raise SoundError(f"{str(path)!r} is not a file; expected a recording such as a .wav")
    if path.stat().st_size == 0:
        raise SoundError(f"{str(path)!r} is empty; expected a recording such as a .wav")
    try:
        with av.open(str(path)) as container:
            sound = _decode(path, container)
    except (av.FFmpegError, ValueError) as error:
        raise SoundError(f"{str(path)!r} cannot be read as sound ({_why(error)})") from None
    if len(sound.speech) == 0:
        raise SoundError(f"{str(path)!r} holds no sound at all; expected at least one sample")
    _check_whole(path, sound)
    return sound


def _decode(path: Path, container: av.container.InputContainer) -> Sound:
    if not container.streams.audio:
        raise SoundError(f"{str(path)!r} has no sound track; expected a recording such as a .wav")
    stream = container.streams.audio[0]
    layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    speech = av.AudioResampler("fltp", layout, AUDIO_RATE)
    film = av.AudioResampler("fltp", layout, OPUS_RATE)
    spoken: list[NDArray[np.float32]] = []
    shown: list[NDArray[np.float32]] = []
    samples, free = 0, psutil.virtual_memory().available
    longest = free // (BYTES * (AUDIO_RATE + OPUS_RATE))
    for frame in container.decode(stream):
        frame.pts = None  # a file's own times may have gaps; samples follow each other
        spoken += _arrays(speech.resample(frame))
        shown += _arrays(film.resample(frame))
        samples += frame.samples
        if samples > longest * frame.sample_rate:
            raise SoundError(
                f"{str(path)!r} is longer than {longest} s, expected what fits into the "
                f"{free / 1e9:.1f} GB of memory that are free"
            )
    if samples:
        spoken += _arrays(speech.resample(None))
        shown += _arrays(film.resample(None))
    channels = 1 if layout == "mono" else 2
    # the mean, not FFmpeg's own mix, which is 3 dB louder and clips what was loud already
    return Sound(_joined(spoken, channels).mean(axis=0), _joined(shown, channels))


def _arrays(frames: list[av.AudioFrame]) -> list[NDArray[np.float32]]:
    return [frame.to_ndarray().astype(np.float32, copy=False) for frame in frames]


def _joined(parts: list[NDArray[np.float32]], channels: int) -> NDArray[np.float32]:
    empty = np.zeros((channels, 0), np.float32)
    whole = np.concatenate([empty, *parts], axis=1, dtype=np.float32)
    return np.clip(np.nan_to_num(whole), -1.0, 1.0)


def _check_whole(path: Path, sound: Sound) -> None:
    """SoundError if a wav's header promises more sound than the file holds."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return
    promised = int.from_bytes(head[4:8], "little") + 8
    size = path.stat().st_size
    if promised in (8, 0xFFFFFFFF + 8) or promised <= size:  # unknown length: written by a pipe
        return
    raise SoundError(
        f"{str(path)!r} is truncated: its header says {promised} bytes and it has {size}"
    )


def _why(error: Exception) -> str:
    reason = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return str(reason).splitlines()[0] if reason else type(error).__name__

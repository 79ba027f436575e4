"""Recordings of every rate, layout and sample format come out the same length, and as loud."""

import io
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import psutil
import pytest

from soul.cli import sound as sounds
from soul.cli.sound import SoundError, read_sound
from soul.timebase import AUDIO_RATE, OPUS_RATE


def record(path: Path, codec: str, rate: int, layout: str, seconds: float = 0.5) -> Path:
    """A tone of half the full loudness."""
    channels = {"mono": 1, "stereo": 2}[layout]
    tone = 0.5 * np.sin(np.arange(int(rate * seconds)) * 2 * np.pi * 200 / rate)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        planes = np.tile(tone.astype(np.float32), (channels, 1))
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        convert = av.AudioResampler(stream.format, layout, rate)
        for part in convert.resample(frame):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_u8", "pcm_f64le"])
@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_every_usual_wav_is_read(tmp_path: Path, codec: str, rate: int) -> None:
    sound = read_sound(record(tmp_path / "tone.wav", codec, rate, "stereo"))
    assert abs(len(sound.speech) - 8_000) <= 2
    assert abs(sound.film.shape[1] - 24_000) <= 2
    assert sound.film.shape[0] == 2
    assert np.abs(sound.speech[1_000:-1_000]).max() == pytest.approx(0.5, abs=0.03)


def test_a_mono_recording_stays_mono(tmp_path: Path) -> None:
    sound = read_sound(record(tmp_path / "tone.wav", "pcm_s16le", 16_000, "mono"))
    assert sound.film.shape[0] == 1
    assert sound.seconds == 0.5


def test_not_a_number_is_silence(tmp_path: Path) -> None:
    path = record(tmp_path / "tone.wav", "pcm_f32le", 16_000, "mono")
    data = bytearray(path.read_bytes())
    data[-400:] = np.full(100, np.nan, np.float32).tobytes()
    path.write_bytes(data)
    assert np.isfinite(read_sound(path).speech).all()


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as film:
        stream = film.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    path = tmp_path / "silent.mp4"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(SoundError, match="no sound track"):
        read_sound(path)


def test_what_does_not_fit_into_memory_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path / "long.wav", "pcm_s16le", 16_000, "mono", seconds=3.0)
    few = SimpleNamespace(available=2 * sounds.BYTES * (AUDIO_RATE + OPUS_RATE))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: few)
    with pytest.raises(SoundError, match=r"is longer than 2 s, expected what fits into the 0.0 GB"):
        read_sound(path)

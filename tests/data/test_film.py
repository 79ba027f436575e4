"""A clip's files hold what the source shows and sounds like, or a sentence says why not."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from made_videos import write_video
from soul.data.config import ClipConfig
from soul.data.errors import SourceError, StopError
from soul.data.film import write_film, write_sound
from soul.data.source import Span, pictures, probe


def test_a_clip_has_its_frames_and_its_colours(tmp_path: Path) -> None:
    made = [np.full((96, 128, 3), (8 * number, 90, 200), np.uint8) for number in range(30)]
    path = write_video(tmp_path / "a.mkv", made)
    target = tmp_path / "clip.mp4"
    assert write_film(path, Span(10, 12), target, ClipConfig(largest=48)) == (64, 48)
    assert probe(target).rate == 25.0
    shown = pictures(target, Span(0, 12), 48)
    means = shown.astype(float).mean(axis=(1, 2))
    truth = np.array([[8 * number, 90, 200] for number in range(10, 22)])
    assert np.abs(means - truth).max() < 6
    with av.open(str(target)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 12
        assert not film.streams.audio


def test_sound_is_written_to_the_sample(tmp_path: Path) -> None:
    write_sound(np.array([0.0, 1.0, -1.0, 0.5], np.float32), tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        heard = np.frombuffer(file.readframes(9), "<i2")
    assert heard.tolist() == [0, 32767, -32767, 16384]


def test_a_source_that_breaks_off_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [np.zeros((48, 64, 3), np.uint8)] * 10)
    with pytest.raises(SourceError, match="breaks off"):
        write_film(path, Span(5, 10), tmp_path / "clip.mp4", ClipConfig())


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    made = np.random.default_rng(0).integers(0, 255, (12, 96, 128, 3), np.uint8)
    path = write_video(tmp_path / "a.mkv", made)
    full = tmp_path / "clip.mp4"
    full.symlink_to("/dev/full")
    with pytest.raises(StopError, match=r"clip.mp4' cannot be written \(No space left on device"):
        write_film(path, Span(0, 12), full, ClipConfig())
    (tmp_path / "clip.wav").symlink_to("/dev/full")
    with pytest.raises(StopError, match=r"clip.wav' cannot be written \(No space left on device"):
        write_sound(np.zeros(64_000, np.float32), tmp_path / "clip.wav")

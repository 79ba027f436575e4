"""One video after the other before the real filters, on clips that are drawn here."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from made_videos import write_video
from soul.data.config import ClipConfig, DataConfig, OverlayConfig, ScoreConfig
from soul.data.errors import PluginError
from soul.data.judge import Judge, MakeJudge, Scan, Scanned, Watch
from soul.data.source import Span
from soul.data.table import Reason, Row
from soul.training.motion import COLUMN, neutral
from soul.training.world import Artist, draw_identity

FRAMES, SIZE = 50, 200
CONFIG = DataConfig(
    clip=ClipConfig(above=160, shortest=1.6, longest=2.0, side=200),
    overlay=OverlayConfig(looks=1),  # reading takes longest
)
FAIR = 3  # the seed of a drawn person


def opening() -> NDArray[np.float64]:
    """How far the mouth is open: syllables of uneven length."""
    time = np.arange(FRAMES) / 25
    return np.clip(np.sin(2 * np.pi * (3 * time + 0.4 * np.sin(5 * time))), 0, 1)


def speaking() -> Iterator[NDArray[np.uint8]]:
    artist = Artist(draw_identity(np.random.default_rng(FAIR)), SIZE)
    motion = neutral(FRAMES)
    motion[:, COLUMN["mouth_open"]] = motion[:, COLUMN["jaw"]] = opening()
    return (artist.frame(row) for row in motion)


def voice() -> NDArray[np.float32]:
    time = np.arange(FRAMES * 640) / 16_000
    loud = np.repeat(opening(), 640)
    return (0.5 * loud * np.sin(2 * np.pi * 600 * time)).astype(np.float32)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    shown = list(speaking())
    (folder / "staged").mkdir()
    write_video(folder / "good.mkv", shown, voice())
    write_video(folder / "mute.mkv", shown)
    write_video(folder / "dubbed.mkv", shown, voice()[::-1].copy())
    write_video(folder / "barred.mkv", [barred(picture) for picture in shown], voice())
    write_video(folder / "empty.mkv", [np.full((SIZE, SIZE, 3), 90, np.uint8)] * FRAMES, voice())
    write_video(folder / "small.mkv", [np.zeros((120, 200, 3), np.uint8)] * FRAMES)
    write_video(folder / "slow.mkv", [np.zeros((200, 200, 3), np.uint8)] * 24, fps=12)
    write_video(folder / "short.mkv", [np.zeros((200, 200, 3), np.uint8)] * 30)
    (folder / "text.mp4").write_text("no video")
    return folder


def barred(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Letterboxed."""
    bars = np.zeros((20, SIZE, 3), np.uint8)
    return np.concatenate([bars, picture, bars])


@pytest.fixture(scope="module")
def judge(films: Path) -> Iterator[Judge]:
    with ExitStack() as stack:
        yield Judge(MakeJudge(films, films / "staged", CONFIG), stack)


def watch(judge: Judge, video: str) -> Row:
    row = judge(Watch(video, Span(0, FRAMES), Path(video).stem))
    assert isinstance(row, Row)
    return row


def test_a_good_clip_is_kept_with_its_files(judge: Judge, films: Path) -> None:
    assert judge(Scan("good.mkv")) == Scanned((Span(0, FRAMES),), ())
    row = watch(judge, "good.mkv")
    assert row.kept, row.detail
    assert (row.width, row.height, row.rate, row.sound) == (SIZE, SIZE, 25.0, True)
    assert row.sync_correlation is not None
    assert row.sync_correlation > 0.6
    known = json.loads((films / "staged" / "good.json").read_text())
    assert (known["clip"], known["clip_width"], known["frame_rate"]) == ("good", SIZE, 25)
    assert (known["sound_rate"], known["scene"]) == (16_000, None)
    with av.open(str(films / "staged" / "good.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == FRAMES
    with av.open(str(films / "staged" / "good.wav")) as sound:
        assert sum(frame.samples for frame in sound.decode(audio=0)) == FRAMES * 640


def test_a_clip_without_sound_is_kept_as_such(judge: Judge, films: Path) -> None:
    row = watch(judge, "mute.mkv")
    assert (row.kept, row.sound, row.sync_correlation) == (True, False, None)
    assert not (films / "staged" / "mute.wav").exists()


@pytest.mark.parametrize(
    ("video", "reason"),
    [
        ("dubbed.mkv", Reason.SYNC),
        ("barred.mkv", Reason.OVERLAY),
        ("empty.mkv", Reason.FACE),
    ],
)
def test_a_clip_is_dropped_by_the_first_filter_that_objects(
    judge: Judge, films: Path, video: str, reason: Reason
) -> None:
    row = watch(judge, video)
    assert row.reason is reason
    assert "; expected at " in row.detail
    assert list((films / "staged").glob(f"{Path(video).stem}*")) == []


@pytest.mark.parametrize(
    ("video", "reason", "words"),
    [
        ("small.mkv", Reason.RESOLUTION, "200 x 120 pixels; expected more than 160"),
        ("slow.mkv", Reason.RATE, "12.00 frames/s"),
        ("short.mkv", Reason.LENGTH, "1.20 s; expected at least 1.6"),
        ("text.mp4", Reason.UNREADABLE, "'text.mp4' cannot be read as a video"),
        ("gone.mp4", Reason.UNREADABLE, "'gone.mp4' cannot be read as a video"),
    ],
)
def test_a_video_without_clips_is_a_row(
    judge: Judge, video: str, reason: Reason, words: str
) -> None:
    found = judge(Scan(video))
    assert isinstance(found, Scanned)
    assert found.clips == ()
    assert [row.reason for row in found.rows] == [reason]
    assert words in found.rows[0].detail


def test_a_clip_that_breaks_off_is_a_row(judge: Judge) -> None:
    row = judge(Watch("good.mkv", Span(30, FRAMES), "beyond"))
    assert isinstance(row, Row)
    assert (row.reason, row.clip) == (Reason.UNREADABLE, "beyond")
    assert "breaks off after 20 of the 50 frames" in row.detail


@pytest.mark.parametrize(("least", "kept"), [(1.0, True), (200.0, False)])
def test_a_plug_in_scores_the_looks(films: Path, least: float, kept: bool) -> None:
    config = replace(CONFIG, score=ScoreConfig("numpy:mean", least))
    with ExitStack() as stack:
        row = watch(Judge(MakeJudge(films, films / "staged", config), stack), "mute.mkv")
    assert row.kept is kept
    assert row.score is not None
    assert 20 < row.score < 200
    assert kept or row.detail.startswith(f"a score of {row.score:.3g}; expected at least 200")


def test_a_plug_in_that_gives_nonsense_is_told(films: Path) -> None:
    config = replace(CONFIG, score=ScoreConfig("numpy:shape"))
    with ExitStack() as stack, pytest.raises(PluginError, match="'numpy:shape' gave"):
        watch(Judge(MakeJudge(films, films / "staged", config), stack), "mute.mkv")

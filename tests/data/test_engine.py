"""A run: every clip decided once, whatever interrupts it, and a table of all of them."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from soul.data.config import DataConfig, FaceConfig, ShardConfig
from soul.data.engine import Progress, Summary, clip_name, run
from soul.data.errors import StopError
from soul.data.judge import Answer, Scan, Scanned, Task, Watch
from soul.data.pool import Died
from soul.data.source import Span
from soul.data.table import Reason, Row

CONFIG = DataConfig(shard=ShardConfig(clips=4, silent=0.25))
CLIPS = (Span(0, 100), Span(100, 100), Span(200, 100))


class Killed(BaseException):
    """As if the process had been killed."""


@dataclass
class Judges:
    """Cuts every video into three clips: the first has sound, the second has none, the third is
    dropped. Is killed before its task number `until`, or dies of one that it is told."""

    out: Path
    until: int = 10_000
    deadly: str = ""
    done: list[Task] = field(default_factory=list)

    def run(self, tasks: deque[Task]) -> Iterator[tuple[Task, Answer | Died]]:
        while tasks:
            task = tasks.popleft()
            if len(self.done) == self.until:
                raise Killed
            self.done.append(task)
            yield task, Died("Killed") if task.video == self.deadly else self.answer(task)

    def answer(self, task: Task) -> Answer:
        if isinstance(task, Scan):
            return Scanned(CLIPS, (Row(task.video, 300, 20, Reason.LENGTH, "a shot of 0.80 s"),))
        row = Row(task.video, task.span.first, 100, Reason.KEPT, clip=task.clip, sound=True)
        if task.span == CLIPS[2]:
            return replace(row, reason=Reason.FACE, detail="a face in 0% of the looks")
        for suffix in (".json", ".mp4"):
            (self.out / "staged" / f"{task.clip}{suffix}").write_text(task.clip)
        return replace(row, sound=task.span == CLIPS[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight videos, one of them in a folder of its own, and what is none."""
    (tmp_path / "films" / "more").mkdir(parents=True)
    for name in (*(f"{number}.mp4" for number in range(7)), "more/Die Müllerin!.MOV"):
        (tmp_path / "films" / name).write_bytes(bytes(100))
    (tmp_path / "films" / "notes.txt").write_text("no video")
    (tmp_path / "films" / ".hidden.mp4").write_text("no video")
    return tmp_path / "films"


def go(folder: Path, judges: Judges, config: DataConfig = CONFIG) -> tuple[Summary, list[Progress]]:
    told: list[Progress] = []
    return run(folder, judges.out, config, judges, told.append), told


def table(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / "table.parquet").to_pylist()
    return rows


def test_everything_is_decided_packed_and_told(folder: Path) -> None:
    out = folder / "out"  # inside the folder: what it holds is no input
    summary, told = go(folder, Judges(out))
    assert summary.videos == 8
    assert summary.left_alone == 1
    # eight clips with sound: a full shard of 3 + 1, another one, and 2 with none beside them
    assert summary.reasons == {"kept": 10, "share": 6, "face": 8, "length": 8}
    assert (summary.kept_seconds, summary.silent, summary.shards) == (40.0, 2, 3)
    assert [path.name for path in sorted((out / "shards").iterdir())] == [
        "000000.tar", "000001.tar", "000002.tar",
    ]  # fmt: skip
    assert list((out / "staged").iterdir()) == []
    fractions = [progress.fraction for progress in told]
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert fractions == sorted(fractions)
    rows = table(out)
    assert len(rows) == 32
    assert all((row["shard"] is not None) == row["kept"] for row in rows)
    assert all(row["detail"] for row in rows if not row["kept"])


@pytest.mark.parametrize("until", [0, 1, 2, 5, 9, 10, 11, 31])
def test_a_run_that_is_killed_goes_on_where_it_was(
    folder: Path, tmp_path: Path, until: int
) -> None:
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    go(folder, Judges(whole))
    first, second = Judges(halved, until), Judges(halved)
    with pytest.raises(Killed):
        go(folder, first)
    with (halved / "journal.jsonl").open("ab") as file:
        file.write(b'{"row": {"video')  # it was writing
    go(folder, second)
    assert len(first.done) + len(second.done) == 32
    assert not set(map(repr, first.done)) & set(map(repr, second.done))
    assert table(halved) == table(whole)
    for shard in sorted((whole / "shards").iterdir()):
        assert (halved / "shards" / shard.name).read_bytes() == shard.read_bytes()
    third = Judges(halved)
    go(folder, third)
    assert third.done == []
    assert table(halved) == table(whole)


def test_what_takes_its_process_down_is_a_row(folder: Path, tmp_path: Path) -> None:
    summary, _ = go(folder, Judges(tmp_path / "out", deadly="3.mp4"))
    assert summary.reasons[Reason.CRASHED] == 1
    crashed = [row for row in table(tmp_path / "out") if row["reason"] == "crashed"]
    assert [row["video"] for row in crashed] == ["3.mp4"]
    assert crashed[0]["detail"] == "the process that read it died (Killed)"


def test_videos_that_come_later_are_taken_up(folder: Path, tmp_path: Path) -> None:
    go(folder, Judges(tmp_path / "out"))
    (folder / "late.webm").write_bytes(bytes(7))
    later = Judges(tmp_path / "out")
    go(folder, later)
    assert {task.video for task in later.done} == {"late.webm"}
    assert len(table(tmp_path / "out")) == 36


def empty(folder: Path, out: Path) -> None:
    for path in folder.rglob("*.*"):
        path.unlink()


def changed(folder: Path, out: Path) -> None:
    (folder / "2.mp4").write_bytes(bytes(99))


def gone(folder: Path, out: Path) -> None:
    for path in (out / "staged").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (empty, "holds no video; expected files such as .mp4"),
        (changed, "'2.mp4' had 100 bytes when this run began and has 99; expected the same file"),
        (gone, "was kept and is gone from staged/ and shards/"),
    ],
)
def test_what_was_spoilt_between_two_runs_is_told(
    folder: Path, tmp_path: Path, spoil: Callable[[Path, Path], None], words: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Killed):
        go(folder, Judges(out, until=11))
    spoil(folder, out)
    with pytest.raises(StopError) as caught:
        go(folder, Judges(out))
    assert words in str(caught.value)


def test_a_run_that_decided_nothing_binds_nobody(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    misspelt = replace(CONFIG, face=FaceConfig(detector="yunet.onx"))
    with pytest.raises(Killed):
        go(folder, Judges(out, until=0), misspelt)
    summary, _ = go(folder, Judges(out))
    assert summary.videos == 8
    with pytest.raises(StopError, match=r"begun otherwise: face.detector was '', is 'yunet.onx'"):
        go(folder, Judges(out), misspelt)


def test_another_configuration_is_refused(folder: Path, tmp_path: Path) -> None:
    go(folder, Judges(tmp_path / "out"))
    with pytest.raises(StopError, match=r"begun otherwise: face.share was 0.8, is 0.5; expected"):
        go(folder, Judges(tmp_path / "out"), replace(CONFIG, face=FaceConfig(share=0.5)))


def test_what_cannot_be_begun_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StopError, match=r"gone' is not a folder"):
        go(tmp_path / "gone", Judges(tmp_path / "out"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StopError, match=r"file' cannot be written"):
        go(folder, Judges(tmp_path / "file"))


def test_names_of_clips_have_no_dots_and_do_not_clash() -> None:
    one = clip_name("more/Die Müllerin!.MOV", Span(4, 100))
    assert "." not in one
    assert one.startswith("die-m-llerin-")
    assert one.endswith("-0000004")
    assert one != clip_name("Die Müllerin!.MOV", Span(4, 100))
    assert clip_name("夢.mp4", Span(0, 1)).count("-") == 1


def test_only_clips_are_watched_that_were_found(folder: Path, tmp_path: Path) -> None:
    judges = Judges(tmp_path / "out")
    go(folder, judges)
    watched = [task.span for task in judges.done if isinstance(task, Watch)]
    assert sorted(watched, key=lambda span: span.first) == sorted(
        [*CLIPS] * 8, key=lambda span: span.first
    )

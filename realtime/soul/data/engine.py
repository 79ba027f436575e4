"""A whole run: hands out videos and clips, writes down each decision, packs shards and the table.

The folder of a run holds `config.json`, `journal.jsonl` (a line for each decision: what is there
is done), `staged/` (kept clips that wait), `shards/` and `table.parquet`. A run that was killed is
begun again with the same words: it goes on where it was. Knows no filter and no video.
"""

import hashlib
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

from soul.data.config import DataConfig, differences, problem
from soul.data.errors import StopError
from soul.data.journal import Journal
from soul.data.judge import Answer, Scan, Scanned, Task, Watch
from soul.data.pool import Died
from soul.data.shards import choose, discard, pack, packed
from soul.data.source import Span
from soul.data.table import Reason, Row, row_from_json, write_table

VIDEOS = frozenset(
    (
        *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
        *(".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv"),
    )
)
SLUG, DIGEST = 32, 10  # characters of a video's name, and of its path's hash, in a clip's name

CONFIG, JOURNAL, TABLE = "config.json", "journal.jsonl", "table.parquet"
STAGED, SHARDS = "staged", "shards"


class Workers(Protocol):
    """Who does the tasks: `soul.data.pool.Pool`, or the caller itself."""

    def run(self, tasks: deque[Task]) -> Iterator[tuple[Task, Answer | Died]]: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: a fraction by the videos' bytes, and what was decided."""

    fraction: float
    kept: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's end. `reasons`: rows by reason; `left_alone`: files that are no videos by name."""

    videos: int
    left_alone: int
    reasons: Mapping[Reason, int]
    kept_seconds: float
    silent: int
    shards: int


class Run:
    """A run in the making: the journal's state, and the clips that wait for a shard."""

    def __init__(self, videos: Mapping[str, int], out: Path, config: DataConfig) -> None:
        self._videos, self._out, self._config = videos, out, config
        self._spans: dict[str, dict[str, Span]] = {}  # video → clip → its frames
        self._rows: dict[str, Row] = {}  # of clips, by name
        self._others: list[Row] = []  # of videos and shots
        self._journal = Journal(out / JOURNAL)
        for entry in self._journal.entries:
            self._replay(entry)
        self._packed = packed(out / SHARDS)
        self._voiced: list[str] = []
        self._silent: list[str] = []
        for name, row in self._rows.items():
            self._resume(name, row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__(None, None, None)

    def tasks(self) -> deque[Task]:
        """What is left to do, clips first: what waits between the steps stays small."""
        watches = [
            Watch(video, span, name)
            for video, spans in self._spans.items()
            for name, span in spans.items()
            if video in self._videos and name not in self._rows
        ]
        scans = [Scan(video) for video in self._videos if video not in self._spans]
        return deque([*watches, *scans])

    def work(self, workers: Workers, tell: Callable[[Progress], None]) -> None:
        """Do all that is left; what is decided is written down before anything else is."""
        tasks = self.tasks()
        tell(self.progress())
        for task, answer in workers.run(tasks):
            if isinstance(task, Scan):
                found = answer if isinstance(answer, Scanned) else _crashed_scan(task, answer)
                self._scanned(task.video, found)
                new = self._spans[task.video].items()
                tasks.extendleft(Watch(task.video, span, name) for name, span in reversed(new))
            else:
                self._watched(task, answer if isinstance(answer, Row) else _crashed(task, answer))
            tell(self.progress())

    def finish(self) -> None:
        """The last shard; clips without sound for which there is no room are dropped."""
        choice = choose(self._voiced, self._silent, self._config.shard)
        if choice.keys:
            self._pack(choice.keys)
        for name in self._silent:
            detail = (
                f"{self._config.shard.silent:.0%} of the clips may be without sound; "
                "expected more with sound beside it"
            )
            self._decide(replace(self._rows[name], reason=Reason.SHARE, detail=detail))
            discard(name, self._out / STAGED)
        self._silent = []

    def write(self) -> None:
        """The table, as far as the run has come."""
        write_table(self._out / TABLE, self._all(), self._packed, self._config)

    def progress(self) -> Progress:
        done = sum(self._done(video) * size for video, size in self._videos.items())
        kept = sum(row.kept for row in self._rows.values())
        return Progress(
            fraction=done / max(sum(self._videos.values()), 1),
            kept=kept,
            dropped=len(self._rows) - kept + len(self._others),
        )

    def summary(self, left_alone: int) -> Summary:
        kept = [row for row in self._rows.values() if row.kept]
        return Summary(
            videos=len(self._videos),
            left_alone=left_alone,
            reasons=Counter(row.reason for row in self._all()),
            kept_seconds=sum(row.seconds for row in kept),
            silent=sum(not row.sound for row in kept),
            shards=len(set(self._packed.values())),
        )

    def _all(self) -> list[Row]:
        return [*self._rows.values(), *self._others]

    def _done(self, video: str) -> float:
        """The share of a video's tasks that are done, its scan among them."""
        spans = self._spans.get(video)
        if spans is None:
            return 0.0
        return (1 + sum(name in self._rows for name in spans)) / (1 + len(spans))

    def _replay(self, entry: dict[str, Any]) -> None:
        """What a line of the journal says."""
        if "row" in entry:
            row = row_from_json(entry["row"])
            self._rows[row.clip or ""] = row
            return
        video, size = entry["video"], entry["bytes"]
        if self._videos.get(video, size) != size:
            raise StopError(
                f"{video!r} had {size} bytes when this run began and has {self._videos[video]}; "
                "expected the same file, or another --out"
            )
        self._spans[video] = _named(video, (Span(*pair) for pair in entry["clips"]))
        self._others += [row_from_json(row) for row in entry["rows"]]

    def _resume(self, name: str, row: Row) -> None:
        """A clip that an earlier run has decided about."""
        if not row.kept or name in self._packed:
            discard(name, self._out / STAGED)
        elif not (self._out / STAGED / f"{name}.json").exists():
            raise StopError(f"the clip {name!r} was kept and is gone from {STAGED}/ and {SHARDS}/")
        else:
            self._wait(name, row)

    def _scanned(self, video: str, found: Scanned) -> None:
        self._journal.append(
            {
                "video": video,
                "bytes": self._videos[video],
                "clips": [[span.first, span.frames] for span in found.clips],
                "rows": [row.to_json() for row in found.rows],
            }
        )
        self._spans[video] = _named(video, found.clips)
        self._others += found.rows

    def _watched(self, task: Watch, row: Row) -> None:
        self._decide(row)
        if not row.kept:
            discard(task.clip, self._out / STAGED)
            return
        self._wait(task.clip, row)
        choice = choose(self._voiced, self._silent, self._config.shard)
        if choice.full:
            self._pack(choice.keys)

    def _decide(self, row: Row) -> None:
        self._journal.append({"row": row.to_json()})
        self._rows[row.clip or ""] = row

    def _wait(self, name: str, row: Row) -> None:
        (self._voiced if row.sound else self._silent).append(name)

    def _pack(self, names: tuple[str, ...]) -> None:
        numbers = [int(Path(shard).stem) for shard in self._packed.values()]
        shard = f"{max(numbers, default=-1) + 1:06d}.tar"
        pack(names, self._out / STAGED, self._out / SHARDS / shard)
        self._packed |= dict.fromkeys(names, shard)
        gone = set(names)
        self._voiced = [name for name in self._voiced if name not in gone]
        self._silent = [name for name in self._silent if name not in gone]


def run(
    folder: Path,
    out: Path,
    config: DataConfig,
    workers: Workers,
    tell: Callable[[Progress], None],
) -> Summary:
    """All videos below `folder` become shards and a table in `out`.

    Raises StopError with one sentence if it cannot go on; what is done stays, and another run
    goes on from there. The table is written in any case.
    """
    videos, left_alone = find_videos(folder, out)
    begin(out, config)
    with Run(videos, out, config) as made:
        try:
            made.work(workers, tell)
            made.finish()
        finally:
            made.write()
        return made.summary(left_alone)


def find_videos(folder: Path, out: Path) -> tuple[dict[str, int], int]:
    """Path within `folder` → bytes, in order; and how many other files there are.

    Hidden files and what lies in `out` are not looked at. Raises StopError if there is no video.
    """
    if not folder.is_dir():
        raise StopError(f"{str(folder)!r} is not a folder; expected a folder of videos")
    inside = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and out not in path.parents
    ]
    videos = [path for path in inside if path.suffix.lower() in VIDEOS]
    if not videos:
        raise StopError(
            f"{str(folder)!r} holds no video; expected files such as .mp4, .mov, .mkv or .webm"
        )
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in videos}
    return sizes, len(inside) - len(videos)


def begin(out: Path, config: DataConfig) -> None:
    """Makes a run's folder, or checks that the one which is there was made with `config`.

    A run that ended before it decided anything (a detector that is not there) binds nobody.
    """
    if sentence := problem(config):
        raise StopError(sentence)
    noted, journal = out / CONFIG, out / JOURNAL
    try:
        decided = journal.is_file() and journal.stat().st_size > 0
        for name in (STAGED, SHARDS):
            (out / name).mkdir(parents=True, exist_ok=True)
        if not noted.exists() or not decided:
            part = noted.with_suffix(".part")
            part.write_text(json.dumps(config.to_json(), indent=1), encoding="utf-8")
            part.replace(noted)
        old = json.loads(noted.read_text(encoding="utf-8"))
    except OSError as error:
        raise StopError(f"{str(out)!r} cannot be written ({error.strerror})") from error
    except ValueError as error:
        raise StopError(f"{str(noted)!r} is broken ({error}); expected a run's own") from error
    if changed := differences(old, config.to_json()):
        raise StopError(
            f"{str(out)!r} was begun otherwise: {'; '.join(changed)}; "
            "expected the same options, or another --out"
        )


def clip_name(video: str, span: Span) -> str:
    """A name for a clip, the same in every run; without dots, which WebDataset cuts at."""
    slug = re.sub(r"[^a-z0-9]+", "-", Path(video).stem.lower()).strip("-")[:SLUG]
    digest = hashlib.sha256(video.encode()).hexdigest()[:DIGEST]
    return "-".join(filter(None, (slug, digest, f"{span.first:07d}")))


def _named(video: str, spans: Iterable[Span]) -> dict[str, Span]:
    return {clip_name(video, span): span for span in spans}


def _crashed_scan(task: Scan, answer: object) -> Scanned:
    return Scanned((), (Row(task.video, 0, 0, Reason.CRASHED, _died(answer)),))


def _crashed(task: Watch, answer: object) -> Row:
    span = task.span
    detail = _died(answer)
    return Row(task.video, span.first, span.frames, Reason.CRASHED, detail, clip=task.clip)


def _died(answer: object) -> str:
    how = answer.how if isinstance(answer, Died) else repr(answer)
    return f"the process that read it died ({how})"

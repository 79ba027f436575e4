"""Looks at one video, or at one clip of it, and decides. What runs in every worker process.

Knows all filters and their order; knows neither what was decided before nor who else works.
"""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from soul.data import clips, faces, overlays, sync
from soul.data.captions import Captioner
from soul.data.config import DataConfig
from soul.data.errors import AnswerError, PluginError, SourceError, StopError
from soul.data.film import write_film, write_sound
from soul.data.plugins import load
from soul.data.shots import find_shots
from soul.data.source import Pcm, Pictures, Source, Span, fitted, pictures, probe, sound, thumbnails
from soul.data.table import Reason, Row
from soul.timebase import AUDIO_RATE, FRAME_RATE


@dataclass(frozen=True, slots=True)
class Scan:
    """Find the clips of a video; `video` is its path within the folder."""

    video: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Decide about one clip, and stage it under the name `clip` if it is kept."""

    video: str
    span: Span
    clip: str


Task = Scan | Watch


@dataclass(frozen=True, slots=True)
class Scanned:
    """A video's clips, and rows for what gives none."""

    clips: tuple[Span, ...]
    rows: tuple[Row, ...]


Answer = Scanned | Row


@dataclass(frozen=True, slots=True)
class Clip:
    """What is looked at: pictures [frames, h, w, 3] at the size for judging, and the sound.

    `scale`: pixels of the kept clip for one of these; `voice` is None if nothing is heard.
    """

    pictures: Pictures
    voice: Pcm | None
    scale: float


@dataclass(frozen=True, slots=True)
class MakeJudge:
    """Makes the judge within a worker process: what it loads cannot travel."""

    folder: Path
    staged: Path
    config: DataConfig

    def __call__(self, stack: ExitStack) -> Callable[[Task], Answer]:
        return Judge(self, stack)


class Judge:
    """Holds the detector, the reader and the connection that every clip needs."""

    def __init__(self, made: MakeJudge, stack: ExitStack) -> None:
        self._folder, self._staged, self._config = made.folder, made.staged, made.config
        config = made.config
        self._look = faces.detector(config.face.detector)
        self._read = overlays.reader()
        self._score = load(config.score.plugin) if config.score.plugin else None
        self._caption = (
            stack.enter_context(Captioner(config.caption)) if config.caption.url else None
        )

    def __call__(self, task: Task) -> Answer:
        """Raises StopError if there is trouble that every further task would meet."""
        return self.scan(task.video) if isinstance(task, Scan) else self.watch(task)

    def scan(self, video: str) -> Scanned:
        """The clips of a video; or a row that says why there are none."""
        path, config = self._folder / video, self._config
        try:
            source = probe(path)
            if refused := self._refused(video, source):
                return Scanned((), (refused,))
            shown = thumbnails(path, config.shot.side, "bgr24")
            shots = find_shots(shown, config.shot, config.clip.guard)
            planned = clips.plan(shots, config.clip)
        except SourceError as error:
            return Scanned((), (Row(video, 0, 0, Reason.UNREADABLE, str(error)),))
        rows = [
            Row(video, shot.first, shot.frames, Reason.LENGTH, f"a shot of {detail}")
            for shot in planned.short
            if (detail := clips.too_short(shot.seconds, config.clip))
        ]
        end = shots[-1].first + shots[-1].frames if shots else 0
        if detail := clips.breaks_off(end / FRAME_RATE, source):
            rows.append(Row(video, end, 0, Reason.UNREADABLE, detail))
        return Scanned(planned.clips, tuple(_described(row, source) for row in rows))

    def watch(self, task: Watch) -> Row:
        """The decision about a clip; if it is kept its files are staged."""
        path = self._folder / task.video
        row = Row(task.video, task.span.first, task.span.frames, Reason.KEPT, clip=task.clip)
        try:
            source = probe(path)
            clip = self._seen(path, task.span, source)
            row = replace(_described(row, source), sound=clip.voice is not None)
            row = self._judged(row, clip)
            if row.kept:
                self._stage(path, task, row, clip)
        except SourceError as error:
            return replace(row, reason=Reason.UNREADABLE, detail=str(error))
        return row

    def _refused(self, video: str, source: Source) -> Row | None:
        config = self._config.clip
        whole = _described(Row(video, 0, round(source.seconds * FRAME_RATE), Reason.KEPT), source)
        for reason, detail in (
            (Reason.RESOLUTION, clips.too_small(source, config)),
            (Reason.RATE, clips.too_slow(source, config)),
            (Reason.LENGTH, clips.too_short(source.seconds, config)),
        ):
            if detail:
                return replace(whole, reason=reason, detail=detail)
        return None

    def _seen(self, path: Path, span: Span, source: Source) -> Clip:
        config = self._config.clip
        heard = sound(path, span)
        kept = fitted(source.width, source.height, config.largest)
        shown = pictures(path, span, config.side)
        silent = heard is None or sync.is_silent(heard, self._config.sync)
        return Clip(shown, None if silent else heard, min(kept) / min(shown.shape[1:3]))

    def _judged(self, row: Row, clip: Clip) -> Row:
        """The row after the last filter, or after the first that objects."""
        last = row
        for last in self._measured(row, clip):
            if not last.kept:
                break
        return last

    def _measured(self, row: Row, clip: Clip) -> Iterator[Row]:
        config = self._config
        track = faces.follow(clip.pictures, self._look, config.face)
        row = replace(
            row,
            face_share=track.share,
            face_height=track.height * clip.scale,
            face_others=track.others,
        )
        yield _objected(row, Reason.FACE, faces.objection(track, clip.scale, config.face))
        over = overlays.look_over(clip.pictures, self._read, config.overlay)
        row = replace(row, text_area=over.area, text=over.text, bars=over.bars)
        yield _objected(row, Reason.OVERLAY, overlays.objection(over, config.overlay))
        if clip.voice is not None:
            mouth = track.opening
            if mouth is None:
                mouth = sync.movement(clip.pictures, track.boxes)
            found = sync.compare(mouth, sync.voicing(clip.voice), config.sync)
            row = replace(row, sync_correlation=found.correlation, sync_lag=found.lag)
            yield _objected(row, Reason.SYNC, sync.objection(found, config.sync))
        if self._score is not None:
            row = replace(row, score=_number(config.score.plugin, self._score(clip.pictures)))
            yield _objected(row, Reason.SCORE, _too_plain(row.score, config.score.least))
        if self._caption is not None:
            try:
                row = replace(row, **asdict(self._caption(clip.pictures)))
            except AnswerError as error:
                row = replace(row, reason=Reason.CAPTION, detail=str(error))
        yield row

    def _stage(self, path: Path, task: Watch, row: Row, clip: Clip) -> None:
        """The clip's files; what of it was staged before an interruption is written over."""
        target = self._staged / task.clip
        width, height = write_film(path, task.span, target.with_suffix(".mp4"), self._config.clip)
        if clip.voice is not None:
            write_sound(clip.voice, target.with_suffix(".wav"))
        known = described_sample(row, width, height)
        try:
            target.with_suffix(".json").write_text(
                json.dumps(known, ensure_ascii=False, indent=1), encoding="utf-8"
            )
        except OSError as error:
            raise StopError(f"{str(target)!r}.json cannot be written ({error.strerror})") from error


def described_sample(row: Row, width: int, height: int) -> dict[str, Any]:
    """What a sample's .json says: the row, and what the clip's own files are."""
    return {
        **row.to_json(),
        "clip_width": width,
        "clip_height": height,
        "frame_rate": FRAME_RATE,
        "sound_rate": AUDIO_RATE if row.sound else None,
    }


def _described(row: Row, source: Source) -> Row:
    return replace(
        row, width=source.width, height=source.height, rate=source.rate, sound=source.sound
    )


def _objected(row: Row, reason: Reason, objection: str | None) -> Row:
    return row if objection is None else replace(row, reason=reason, detail=objection)


def _number(plugin: str, score: object) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise PluginError(f"{plugin!r} gave {score!r}; expected a finite number")
    return float(score)


def _too_plain(score: float | None, least: float | None) -> str | None:
    if score is None or least is None or score >= least:
        return None
    return f"a score of {score:.3g}; expected at least {least:g}"

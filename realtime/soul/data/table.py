"""The table of decisions: one row for each clip, and for each video or shot that gave none.

Knows what was measured, not how. Columns are null where nothing was measured: filters run from
the cheap to the dear, and the first that drops a clip is its reason.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from soul.data.config import DataConfig
from soul.data.errors import StopError
from soul.timebase import FRAME_RATE


class Reason(StrEnum):
    """Why a row is what it is; in the order in which it is asked."""

    KEPT = "kept"
    UNREADABLE = "unreadable"  # no video, or broken
    CRASHED = "crashed"  # the process that read it died
    RESOLUTION = "resolution"
    RATE = "frame rate"
    LENGTH = "length"  # a video or a shot too short for a clip
    FACE = "face"
    OVERLAY = "overlay"
    SYNC = "sync"
    SCORE = "score"
    CAPTION = "caption"
    SHARE = "share"  # good, without sound, and there are enough of those


@dataclass(frozen=True)
class Row:
    """A decision about frames [first, first + frames) at 25/s of `video`, a path in the folder.

    Whole videos have frames as far as they are known. Heights are pixels of the kept clip, areas
    and shares are in [0, 1], lags are frames by which the mouth is late.
    """

    video: str
    first: int
    frames: int
    reason: Reason
    detail: str = ""
    clip: str | None = None
    width: int | None = None
    height: int | None = None
    rate: float | None = None
    sound: bool | None = None
    face_share: float | None = None
    face_height: float | None = None
    face_others: float | None = None
    text_area: float | None = None
    text: str | None = None
    bars: float | None = None
    sync_correlation: float | None = None
    sync_lag: int | None = None
    score: float | None = None
    scene: str | None = None
    camera: str | None = None
    action: str | None = None
    gesture: str | None = None
    expression: str | None = None
    light: str | None = None

    @property
    def kept(self) -> bool:
        return self.reason is Reason.KEPT

    @property
    def seconds(self) -> float:
        return self.frames / FRAME_RATE

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


KINDS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
DERIVED = {"start": pa.float64(), "seconds": pa.float64(), "kept": pa.bool_(), "shard": pa.string()}


def row_from_json(data: Mapping[str, Any]) -> Row:
    return Row(**{**data, "reason": Reason(data["reason"])})


def schema(config: DataConfig) -> pa.Schema:
    """The table's columns; its metadata say with which configuration, and what was not done."""
    own = [(field.name, _kind(field.type)) for field in fields(Row)]
    return pa.schema([*own, *DERIVED.items()], metadata=_notes(config))


def write_table(
    path: Path, rows: Iterable[Row], shards: Mapping[str, str], config: DataConfig
) -> None:
    """All rows in the order of the videos, as parquet; `shards` tells where each clip is packed.

    Appears whole or not at all. Raises StopError if it cannot be written.
    """
    ordered = sorted(rows, key=lambda row: (row.video, row.first))
    full = [
        {
            **row.to_json(),
            "start": row.first / FRAME_RATE,
            "seconds": row.seconds,
            "kept": row.kept,
            "shard": None if row.clip is None else shards.get(row.clip),
        }
        for row in ordered
    ]
    part = path.with_name(f"{path.name}.part")
    try:
        pq.write_table(pa.Table.from_pylist(full, schema(config)), part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise StopError(f"{str(path)!r} cannot be written ({reason})") from error


def _kind(annotation: object) -> pa.DataType:
    """The column for a field of that type, or of that type or None."""
    types = get_args(annotation) or (annotation,)
    return next((kind for python, kind in KINDS.items() if python in types), pa.string())


def _notes(config: DataConfig) -> dict[str, str]:
    """What a reader of the file must know, as parquet's metadata."""
    score, url = config.score.plugin, config.caption.url
    return {
        "soul.config": json.dumps(config.to_json()),
        "soul.score": f"by {score}" if score else "not scored: no plug-in was named",
        "soul.captions": f"by {config.caption.model}"
        if url
        else "not captioned: no endpoint was named",
    }

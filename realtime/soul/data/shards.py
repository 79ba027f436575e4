"""Packs clips into WebDataset shards: plain tar files, a clip's files side by side in each.

A sample is KEY.json (all that is known of the clip), KEY.mp4 and, if it has sound, KEY.wav. Knows
neither filters nor videos.
"""

import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from soul.data.config import ShardConfig
from soul.data.errors import StopError

SUFFIXES = (".json", ".mp4", ".wav")
PART = ".part"


@dataclass(frozen=True, slots=True)
class Choice:
    """Keys for one shard, in order; `full` if it has as many as a shard should."""

    keys: tuple[str, ...]
    full: bool


def choose(voiced: Sequence[str], silent: Sequence[str], config: ShardConfig) -> Choice:
    """Out of clips that wait, those of the next shard: at most its share is without sound.

    A shard that would not be full has all that are voiced, and as many silent ones as that allows.
    """
    mute = min(len(silent), int(config.silent * config.clips))
    if len(voiced) + mute >= config.clips:
        return Choice(tuple(sorted([*voiced[: config.clips - mute], *silent[:mute]])), True)
    allowed = int(config.silent * len(voiced) / (1 - config.silent) + 1e-9)
    return Choice(tuple(sorted([*voiced, *silent[:allowed]])), False)


def pack(keys: Iterable[str], staged: Path, target: Path) -> None:
    """Moves the files of `keys` from the folder `staged` into the tar file `target`.

    It appears whole or not at all. Raises StopError if it cannot be written.
    """
    part = target.with_name(target.name + PART)
    names = [f"{key}{suffix}" for key in keys for suffix in SUFFIXES]
    present = [name for name in names if (staged / name).exists()]
    try:
        with part.open("wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                for name in present:
                    tar.add(staged / name, name, filter=_nobody)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StopError(f"{str(target)!r} cannot be written ({error.strerror})") from error
    for name in present:
        (staged / name).unlink()


def discard(key: str, staged: Path) -> None:
    """Deletes whatever of a clip waits in `staged`."""
    for suffix in SUFFIXES:
        (staged / f"{key}{suffix}").unlink(missing_ok=True)


def packed(folder: Path) -> dict[str, str]:
    """Key → name of its shard, read from all shards of a folder.

    Deletes what an interrupted run left half written. Raises StopError if a shard is broken.
    """
    for part in folder.glob(f"*{PART}"):
        part.unlink()
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.tar")):
        try:
            with tarfile.open(path) as tar:
                names = tar.getnames()
        except (OSError, tarfile.TarError) as error:
            raise StopError(f"{str(path)!r} is no whole shard ({error})") from error
        found |= {Path(name).stem: path.name for name in names}
    return found


def _nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same clips give the same bytes, whoever packs them and when."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    info.mode = 0o644
    return info

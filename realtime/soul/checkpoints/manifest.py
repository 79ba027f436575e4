"""What lies in a folder of weights: every file's size and hash, where it came from, its licence.

Two folders carry a manifest: what was fetched (`fetched.json`) and what was converted
(`manifest.json`). It knows files and hashes; not what the tensors in them are.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from soul.checkpoints.sources import CheckpointError

MANIFEST = "manifest.json"
FETCHED = "fetched.json"
FORMAT = 1
CLIP, STREAM = "clip", "stream"
BLOCK = 1 << 22  # bytes read at once

Told = Callable[[str, int, int], None]  # what is done, bytes of it so far, bytes in all


def untold(what: str, done: int, total: int) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of the folder."""

    path: str  # within the folder, with forward slashes
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where weights came from. A repository and revision that nobody told are empty."""

    name: str
    licence: str = ""
    commercial: bool = True  # may be used for money; False is shown before the first use
    repository: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of a folder; `parts` name the files of the transformer, the VAE and so on."""

    name: str
    origins: tuple[Origin, ...]
    files: tuple[File, ...]
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    family: str = ""
    audio: str = ""  # none, attention or packed: which audio layers the weights hold
    mode: str = ""  # CLIP or STREAM: as which `soul tune` trained it; empty: nobody told
    left_out: tuple[str, ...] = ()  # groups of tensors that have no place here, and why
    format: int = FORMAT


def write_manifest(manifest: Manifest, path: Path) -> None:
    path.write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`; CheckpointError if it is none, or of a newer format."""
    try:
        values = json.loads(path.read_text())
        return from_dict(values)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; expected a manifest") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a manifest: {error}") from None


def from_dict(values: dict[str, Any]) -> Manifest:
    """`values` as JSON has them; ValueError names what is unknown."""
    known = {f.name for f in fields(Manifest)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"unknown key {unknown[0]!r}; known: {sorted(known)}")
    if values["format"] != FORMAT:
        raise ValueError(f"its format is {values['format']!r}, expected {FORMAT}")
    plain = dict(values)
    plain["origins"] = tuple(Origin(**origin) for origin in values["origins"])
    plain["files"] = tuple(File(**file) for file in values["files"])
    plain["parts"] = {part: tuple(names) for part, names in values.get("parts", {}).items()}
    plain["left_out"] = tuple(values.get("left_out", ()))
    return Manifest(**plain)


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def hashed(path: Path, told: Told = untold) -> str:
    """The file's SHA-256, in hexadecimal."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    for block in blocks(path):
        digest.update(block)
        done += len(block)
        told(path.name, done, total)
    return digest.hexdigest()


def described(folder: Path, path: str) -> File:
    """One file of `folder`, its bytes counted and hashed."""
    return File(path, (folder / path).stat().st_size, hashed(folder / path))


def verify(folder: Path, manifest: Manifest, told: Told = untold) -> None:
    """CheckpointError names the first file that is missing, truncated or has another hash."""
    for file in manifest.files:
        check_size(folder, file)
    for file in manifest.files:
        found = hashed(folder / file.path, told)
        if found != file.sha256:
            raise CheckpointError(
                f"{folder / file.path} is damaged: its SHA-256 is {found}, expected {file.sha256}"
            )


def check_size(folder: Path, file: File) -> None:
    """CheckpointError if the file is not there, or not as long as it was."""
    path = folder / file.path
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: the manifest names it")
    if path.stat().st_size != file.bytes:
        raise CheckpointError(
            f"{path} has {path.stat().st_size} bytes, expected {file.bytes}: it is truncated or "
            "was changed"
        )

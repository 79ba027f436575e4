"""This project's layout of a large model: one folder, written whole or not at all.

`config.json`, the parts as safetensors shards (`dit-00001-of-00005.safetensors`), the tokenizer's
own files, `manifest.json`. Tensors are written one after another, so that memory holds one at a
time: the safetensors library writes only what memory holds as a whole. It knows no names.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import torch
from torch import Tensor

from soul.checkpoints.manifest import (
    MANIFEST,
    File,
    Manifest,
    Told,
    check_size,
    read_manifest,
    untold,
    write_manifest,
)
from soul.checkpoints.sources import DTYPES, LENGTH, CheckpointError, Tensors, open_safetensors

CODES = {dtype: code for code, dtype in DTYPES.items()}
SUFFIX = ".safetensors"
ALIGNED = 8  # bytes: where safetensors' data begins
SHARD_BYTES = 4_000_000_000
GIGA = 1e9

Wanted = Callable[[str, torch.dtype], torch.dtype]  # a tensor's name and type → its type on disk


def cast(kind: torch.dtype) -> Wanted:
    """Wider matrices become `kind`; vectors, modulations and the time's layers stay as they came.

    These are few, and errors in them reach every token: Wan computes them in float32.
    """

    def wanted(name: str, found: torch.dtype) -> torch.dtype:
        fine = name.endswith((".bias", "modulation")) or "norm" in name or name.startswith("time_")
        wider = found.is_floating_point and found.itemsize > kind.itemsize
        return kind if wider and not fine else found

    return wanted


def as_found(name: str, found: torch.dtype) -> torch.dtype:
    """Nothing is cast."""
    return found


def bytes_of(tensors: Tensors, wanted: Wanted) -> dict[str, int]:
    """What each tensor takes on disk."""
    return {k: v.numel * wanted(k, v.dtype).itemsize for k, v in tensors.items()}


def shards(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Names in their order, split where the next would make a shard larger than `limit` bytes."""
    groups: list[list[str]] = []
    room = 0
    for name, size in sizes.items():
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append(name)
        room -= size
    return groups


def shard_names(part: str, count: int) -> list[str]:
    if count == 1:
        return [f"{part}{SUFFIX}"]
    return [f"{part}-{i:05d}-of-{count:05d}{SUFFIX}" for i in range(1, count + 1)]


def write_part(
    folder: Path,
    part: str,
    tensors: Tensors,
    wanted: Wanted = as_found,
    limit: int = SHARD_BYTES,
    told: Told = untold,
) -> tuple[File, ...]:
    """Write one part's tensors into as many shards as it takes; the files with their hashes."""
    sizes = bytes_of(tensors, wanted)
    groups = shards(sizes, limit)
    files, done, total = [], 0, sum(sizes.values())
    for path, names in zip(shard_names(part, len(groups)), groups, strict=True):
        chosen = {name: tensors[name] for name in names}
        before = done

        def step(written: int, before: int = before) -> None:
            told(part, before + written, total)

        files.append(write_shard(folder / path, chosen, wanted, step))
        done += sum(sizes[name] for name in names)
    return tuple(files)


def write_shard(path: Path, tensors: Tensors, wanted: Wanted, told: Callable[[int], None]) -> File:
    """One safetensors file, hashed as it is written (the format: huggingface/safetensors).

    The widest types come first, as the library has it, so that each tensor is aligned to its own.
    """
    widest = sorted(tensors, key=lambda name: -wanted(name, tensors[name].dtype).itemsize)
    tensors = {name: tensors[name] for name in widest}
    sizes, place = bytes_of(tensors, wanted), 0
    head: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for name, entry in tensors.items():
        ends = [place, place + sizes[name]]
        code = CODES[wanted(name, entry.dtype)]
        head[name] = {"dtype": code, "shape": list(entry.shape), "data_offsets": ends}
        place = ends[1]
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(LENGTH.size + len(text)) % ALIGNED)
    digest, written = hashlib.sha256(), 0
    with path.open("wb") as file:
        for piece in (LENGTH.pack(len(text)), text):
            digest.update(piece)
            file.write(piece)
        for name, entry in tensors.items():
            data = raw(entry.read().to(wanted(name, entry.dtype)))
            digest.update(data)
            file.write(data)
            written += sizes[name]
            told(written)
    return File(path.name, path.stat().st_size, digest.hexdigest())


def raw(tensor: Tensor) -> memoryview:
    """The tensor's bytes, in its own type's order; nothing is copied if it is contiguous."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if len(flat) else memoryview(b"")


def need_memory(tensors: Mapping[str, int], what: str) -> None:
    """CheckpointError if the largest tensor, its copy and its bytes cannot be held at once."""
    largest = max(tensors, key=lambda name: tensors[name], default=None)
    if largest is None:
        return
    needed, free = 3 * tensors[largest], psutil.virtual_memory().available
    if needed > free:
        raise CheckpointError(
            f"{what} needs {needed / GIGA:.1f} GB of memory for {largest}, "
            f"and {free / GIGA:.1f} GB are free; close other programs and run it again"
        )


def need_disk(folder: Path, needed: int, what: str) -> None:
    """CheckpointError if the disk that `folder` is to stand on has no room for `needed` bytes."""
    place = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise CheckpointError(
            f"{what} needs {needed / GIGA:.1f} GB on the disk of {place}, "
            f"and {free / GIGA:.1f} GB are free; make room or choose another folder"
        )


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` if all goes well, and is gone if anything does not.

    CheckpointError, one sentence, if `out` is there already or the disk refuses.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out} exists already; expected a new folder")
    work = out.parent / f".{out.name}.partial"
    try:
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
        work.mkdir(parents=True)
        yield work
        if out.exists():
            out.rmdir()
        work.rename(out)
    except OSError as error:
        raise unwritten(out, error) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def unwritten(out: Path, error: OSError) -> CheckpointError:
    """Why `out` could not be written, in one sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CheckpointError(
            f"the disk of {out.parent} is full; nothing was kept, make room and run it again"
        )
    return CheckpointError(f"{error.filename or out} cannot be written: {error.strerror or error}")


def is_converted(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def finish(folder: Path, manifest: Manifest) -> None:
    """The manifest comes last: a folder that has one is whole."""
    write_manifest(manifest, folder / MANIFEST)


def add_part(folder: Path, part: str, tensors: Tensors, wanted: Wanted = as_found) -> Manifest:
    """A converted folder gains `part`, or has it replaced; until that is whole, nothing changes.

    The manifest comes last. CheckpointError if `folder` is none, or the disk refuses.
    """
    old = read_manifest(folder / MANIFEST)
    need_disk(folder, sum(bytes_of(tensors, wanted).values()), f"{part} of {folder}")
    work = folder / f".{part}.partial"
    try:
        shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
        work.mkdir()
        files = write_part(work, part, tensors, wanted)
        gone = set(old.parts.get(part, ()))
        kept = tuple(file for file in old.files if file.path not in gone)
        names = tuple(file.path for file in files)
        new = replace(old, files=kept + files, parts={**old.parts, part: names})
        finish(work, new)
        for name in (*names, MANIFEST):
            (work / name).replace(folder / name)
        for name in gone - set(names):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise unwritten(folder / part, error) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return new


def open_part(folder: Path, part: str) -> Tensors:
    """One part of a converted folder, not read yet; CheckpointError if a file is not whole."""
    manifest = read_manifest(folder / MANIFEST)
    if part not in manifest.parts:
        raise CheckpointError(f"{folder} has no part {part!r}; it has {sorted(manifest.parts)}")
    for file in manifest.files:
        if file.path in manifest.parts[part]:
            check_size(folder, file)
    tensors: Tensors = {}
    for name in manifest.parts[part]:
        tensors |= open_safetensors(folder / name)
    return tensors


def counted(folder: Path) -> dict[str, int]:
    """How many numbers each part of tensors in a converted folder has; only headers are read."""
    manifest = read_manifest(folder / MANIFEST)
    parts = [p for p, names in manifest.parts.items() if names and names[0].endswith(SUFFIX)]
    return {p: sum(entry.numel for entry in open_part(folder, p).values()) for p in parts}

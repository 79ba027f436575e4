"""Files of tensors, opened without being read: each tensor comes from disk when it is asked for.

Safetensors (one file, or the shards of an index) and PyTorch's own files, these with
`weights_only=True` alone: a pickle that holds anything but tensors is refused. It knows neither
models nor their names.
"""

import json
import pickle
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from soul.model.load import first_line

LENGTH = struct.Struct("<Q")  # a safetensors file starts with the length of its header
LONGEST_HEADER = 100_000_000  # bytes, as in the safetensors library
INDEX = ".safetensors.index.json"
PICKLES = (".pth", ".pt", ".bin", ".ckpt")
ZIPPED, BARE = b"PK", b"\x80"  # how PyTorch's files begin: since 1.6, and before
# What trainers wrap their weights in; the first that is there holds the model that they serve.
WRAPPED = ("generator", "generator_ema", "model", "state_dict", "module")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class CheckpointError(Exception):
    """A checkpoint that cannot be fetched, read, converted or written; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor that has not been read yet."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @property
    def numel(self) -> int:
        return torch.Size(self.shape).numel()


Tensors = dict[str, Entry]


def open_tensors(path: Path) -> Tensors:
    """Every tensor in `path`: a .safetensors file, an index of shards, or a PyTorch file.

    Raises CheckpointError, one sentence, if the file is missing, broken or no file of tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; expected a file of tensors")
    if path.name.endswith(INDEX):
        return open_shards(path)
    if path.suffix == ".safetensors":
        return open_safetensors(path)
    if path.suffix in PICKLES:
        return open_pickle(path)
    raise CheckpointError(
        f"{path} is no file of tensors; expected .safetensors, {INDEX} or one of {PICKLES}"
    )


def header(path: Path) -> dict[str, Any]:
    """A safetensors file's header; CheckpointError if the file is shorter than it says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(LENGTH.size)
        length = LENGTH.unpack(start)[0] if len(start) == LENGTH.size else LONGEST_HEADER + 1
        if length > LONGEST_HEADER or LENGTH.size + length > size:
            raise CheckpointError(f"{path} is not a whole safetensors file: its header is cut off")
        try:
            told: dict[str, Any] = json.loads(file.read(length))
            ends = [v["data_offsets"][1] for k, v in told.items() if k != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise CheckpointError(f"{path} is not a safetensors file: its header is none") from None
    expected = LENGTH.size + length + max(ends, default=0)
    if size < expected:
        raise CheckpointError(f"{path} is truncated: it has {size} bytes of {expected}")
    return told


def open_safetensors(path: Path) -> Tensors:
    """One file; its tensors are read through one handle that lives as long as they do."""
    told = header(path)
    try:
        handle: Any = safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from None

    def reader(name: str) -> Callable[[], Tensor]:
        def read() -> Tensor:
            try:
                tensor: Tensor = handle.get_tensor(name)
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{path}: {name} cannot be read: {error}") from None
            return tensor

        return read

    return {
        name: Entry(tuple(value["shape"]), dtype_of(value["dtype"], path), reader(name))
        for name, value in told.items()
        if name != "__metadata__"
    }


def dtype_of(name: str, path: Path) -> torch.dtype:
    """torch's name for safetensors' `name`."""
    try:
        return DTYPES[name]
    except KeyError:
        raise CheckpointError(
            f"{path} holds tensors of type {name!r}; expected one of {sorted(DTYPES)}"
        ) from None


def metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself; empty for any other file."""
    found = header(path).get("__metadata__") if path.suffix == ".safetensors" else None
    return {str(k): str(v) for k, v in (found or {}).items()}


def open_shards(index: Path) -> Tensors:
    """All shards of an index; each tensor is taken from the shard that the index names."""
    try:
        where: dict[str, str] = json.loads(index.read_text())["weight_map"]
        told = all(isinstance(shard, str) for shard in where.values())
    except (ValueError, TypeError, KeyError, AttributeError):
        told = False
    if not told:
        raise CheckpointError(f"{index} is not an index: it has no weight_map of files' names")
    shards: dict[str, Tensors] = {}
    for name in sorted(set(where.values())):
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index.parent / name} is missing: {index.name} names it")
        shards[name] = open_safetensors(index.parent / name)
    lost = [name for name, shard in where.items() if name not in shards[shard]]
    if lost:
        raise CheckpointError(
            f"{index.parent / where[lost[0]]} lacks {len(lost)} tensors that {index.name} says it "
            f"holds, the first is {lost[0]!r}"
        )
    return {name: shards[shard][name] for name, shard in where.items()}


def open_pickle(path: Path) -> Tensors:
    """A PyTorch file; whatever wraps the weights is taken off.

    Mapped into memory and not read, except for files as PyTorch wrote them before 1.6.
    """
    with path.open("rb") as file:
        start = file.read(len(ZIPPED))
    if start != ZIPPED and not start.startswith(BARE):
        raise CheckpointError(f"{path} is no PyTorch file: it begins with {start!r}")
    try:
        with warnings.catch_warnings():  # torch's, of odd pickles: the sentence below is enough
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", mmap=start == ZIPPED, weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} is a pickle that holds more than tensors; it is not opened, since such a file "
            "can run any code"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is truncated or damaged: PyTorch cannot read it ({first_line(error)})"
        ) from None
    tensors = dict(flat(found))
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors; expected a dictionary of them")
    return {name: held(value) for name, value in tensors.items()}


def held(tensor: Tensor) -> Entry:
    """A tensor that is there already, or mapped from its file."""
    return Entry(tuple(tensor.shape), tensor.dtype, lambda: tensor)


def flat(found: object) -> Iterator[tuple[str, Tensor]]:
    """The named tensors of a state dict, out of its trainer's wrapping; other things are not."""
    while isinstance(found, Mapping):
        inner = next((found[key] for key in WRAPPED if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            yield from ((str(k), v) for k, v in found.items() if isinstance(v, Tensor))
            return
        found = inner

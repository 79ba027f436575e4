"""The layout is written tensor by tensor, as the library would write it, whole or not at all."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from soul.checkpoints.layout import (
    add_part,
    bytes_of,
    cast,
    finish,
    open_part,
    shards,
    whole,
    write_part,
)
from soul.checkpoints.manifest import MANIFEST, Manifest, read_manifest, verify
from soul.checkpoints.sources import CheckpointError, Entry, Tensors, held

VALUES = {
    "odd": torch.arange(3, dtype=torch.bfloat16),
    "wide": torch.arange(5, dtype=torch.float32),
    "none": torch.zeros(0, 4),
    "scalar": torch.tensor(7.0),
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "byte": torch.tensor([1, 2, 3], dtype=torch.uint8),
    "eighth": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn),
}


def entries(reads: list[str]) -> Tensors:
    def entry(name: str, value: torch.Tensor) -> Entry:
        def read() -> torch.Tensor:
            reads.append(name)
            return value

        return Entry(tuple(value.shape), value.dtype, read)

    return {name: entry(name, value) for name, value in VALUES.items()}


def test_the_library_reads_what_was_written(tmp_path: Path) -> None:
    reads: list[str] = []
    (file,) = write_part(tmp_path, "dit", entries(reads))
    assert file.path == "dit.safetensors"
    data = (tmp_path / file.path).read_bytes()
    assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    found = load_file(tmp_path / file.path)
    assert found.keys() == VALUES.keys()
    for name, value in VALUES.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name].float(), value.float())
    assert sorted(reads) == sorted(VALUES)  # each once


def test_progress_is_told_across_shards(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    files = write_part(tmp_path, "vae", entries([]), limit=25, told=lambda *t: heard.append(t))
    assert len(files) > 2
    total = sum(bytes_of(entries([]), lambda name, kind: kind).values())
    assert heard[-1] == ("vae", total, total)
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)


def test_shards_are_filled_in_order() -> None:
    sizes = {"a": 4, "b": 4, "c": 9, "d": 1, "e": 1}
    assert shards(sizes, 8) == [["a", "b"], ["c"], ["d", "e"]]
    assert shards({}, 8) == []


def test_only_wider_matrices_are_cast() -> None:
    half = cast(torch.bfloat16)
    assert half("blocks.0.ffn.0.weight", torch.float32) == torch.bfloat16
    assert half("blocks.0.ffn.0.weight", torch.float16) == torch.float16
    for name in ("blocks.0.ffn.0.bias", "blocks.0.modulation", "blocks.0.norm3.weight"):
        assert half(name, torch.float32) == torch.float32
    assert half("time_embedding.0.weight", torch.float32) == torch.float32
    assert half("ids", torch.int64) == torch.int64
    assert cast(torch.float32)("shared.weight", torch.bfloat16) == torch.bfloat16


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    left = tmp_path / "deep" / ".out.partial"
    left.mkdir(parents=True)
    (left / "old").write_text("of a run that was killed")
    with whole(out) as work:
        (work / "new").write_text("1")
        assert not out.exists()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert not left.exists()
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "other"):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CheckpointError, match="cannot be written"),
        whole(tmp_path / "file" / "out"),
    ):
        pass
    with pytest.raises(CheckpointError, match="exists already"), whole(tmp_path / "file"):
        pass
    (tmp_path / "empty").mkdir()
    with whole(tmp_path / "empty") as work:
        (work / "new").write_text("1")
    assert (tmp_path / "empty" / "new").exists()


def folder_of_one_part(folder: Path) -> Path:
    with whole(folder) as work:
        files = write_part(work, "dit", {"a": held(torch.ones(3)), "b": held(torch.ones(3))})
        finish(work, Manifest("made", (), files, {"dit": tuple(file.path for file in files)}))
    return folder


def read(folder: Path, part: str) -> dict[str, list[float]]:
    return {name: entry.read().tolist() for name, entry in open_part(folder, part).items()}


def test_a_folder_gains_a_part_and_has_it_replaced(tmp_path: Path) -> None:
    folder = folder_of_one_part(tmp_path / "out")
    (folder / ".book.partial").mkdir()  # of a run that was killed
    add_part(folder, "book", {"c": held(torch.zeros(2))})
    add_part(folder, "book", {"d": held(torch.ones(1))})
    assert read(folder, "book") == {"d": [1.0]}
    assert read(folder, "dit") == {"a": [1.0] * 3, "b": [1.0] * 3}
    manifest = read_manifest(folder / MANIFEST)
    assert [file.path for file in manifest.files] == ["dit.safetensors", "book.safetensors"]
    verify(folder, manifest)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["book.safetensors", "dit.safetensors", MANIFEST]


def test_a_part_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    folder = folder_of_one_part(tmp_path / "out")
    add_part(folder, "book", {"c": held(torch.zeros(2))})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full() -> torch.Tensor:
        raise OSError(28, "No space left on device")

    broken = {"c": held(torch.ones(2)), "d": Entry((2,), torch.float32, full)}
    with pytest.raises(CheckpointError, match=r"the disk of .* is full; nothing was kept"):
        add_part(folder, "book", broken)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_was_not_converted_gains_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing"):
        add_part(tmp_path, "book", {"c": held(torch.zeros(2))})
    assert list(tmp_path.iterdir()) == []

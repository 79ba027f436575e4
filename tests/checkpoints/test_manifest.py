"""A manifest survives its file, and sees the first byte that is not as it was."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from soul.checkpoints.manifest import (
    File,
    Manifest,
    Origin,
    described,
    hashed,
    read_manifest,
    verify,
    write_manifest,
)
from soul.checkpoints.sources import CheckpointError

DATA = b"weights" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    (tmp_path / "a.safetensors").write_bytes(DATA)
    return Manifest(
        "soul",
        (Origin("wan", "Apache-2.0", True, "Wan-AI/Wan", "main"),),
        (described(tmp_path, "a.safetensors"),),
        {"dit": ("a.safetensors",)},
        left_out=("one: why",),
    )


def test_what_is_written_is_read(manifest: Manifest, tmp_path: Path) -> None:
    assert manifest.files == (File("a.safetensors", len(DATA), SHA256),)
    write_manifest(manifest, tmp_path / "manifest.json")
    assert read_manifest(tmp_path / "manifest.json") == manifest


def test_hashing_tells_how_far_it_is(tmp_path: Path, manifest: Manifest) -> None:
    heard: list[tuple[str, int, int]] = []
    assert hashed(tmp_path / "a.safetensors", lambda *told: heard.append(told)) == SHA256
    assert heard == [("a.safetensors", len(DATA), len(DATA))]


def test_damage_is_seen(manifest: Manifest, tmp_path: Path) -> None:
    verify(tmp_path, manifest)
    file = tmp_path / "a.safetensors"
    file.write_bytes(DATA[:-1] + b"S")
    with pytest.raises(CheckpointError, match=f"is damaged: its SHA-256 is .*, expected {SHA256}"):
        verify(tmp_path, manifest)
    file.write_bytes(DATA[:-1])
    with pytest.raises(CheckpointError, match="has 6999 bytes, expected 7000: it is truncated"):
        verify(tmp_path, manifest)
    file.unlink()
    with pytest.raises(CheckpointError, match="is missing: the manifest names it"):
        verify(tmp_path, manifest)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, "its format is 2, expected 1"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"files": 3}, "is not a manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(
    manifest: Manifest, tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**asdict(manifest), **changes}))
    with pytest.raises(CheckpointError, match=sentence):
        read_manifest(path)
    path.write_text("[")
    with pytest.raises(CheckpointError, match="is not a manifest"):
        read_manifest(path)
    path.unlink()
    with pytest.raises(CheckpointError, match="is missing; expected a manifest"):
        read_manifest(path)

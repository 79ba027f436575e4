"""Downloads from a hub on loopback: whole, resumed, damaged, unknown, and out of reach."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from fake_hub import COMMIT, Hub, serving
from soul.checkpoints.catalogue import Known
from soul.checkpoints.fetch import fetch, git_hash
from soul.checkpoints.manifest import FETCHED, read_manifest, verify
from soul.checkpoints.sources import CheckpointError

LARGE = bytes(range(256)) * 4000
CHUNK = 65_536
ENTRY = Known("tiny", "soul/tiny", "MIT", "a test", ("config.json", "*.safetensors"))
WEIGHTS = "model.safetensors"
MOVED = "decade" + "0" * 34  # another commit


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the client's own retries
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)  # what it writes at once
    files = {"config.json": b'{"dim": 48}', WEIGHTS: LARGE, "other.onnx": b"not wanted"}
    with serving(Hub("soul/tiny", files, large={WEIGHTS})) as hub:
        yield hub


def get(hub: Hub, folder: Path, entry: Known = ENTRY) -> None:
    fetch(entry, folder, hub.endpoint)


def refused(hub: Hub, folder: Path, entry: Known = ENTRY) -> str:
    with pytest.raises(CheckpointError) as caught:
        get(hub, folder, entry)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_wanted_is_downloaded_and_checked(hub: Hub, tmp_path: Path) -> None:
    get(hub, tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == LARGE
    assert not (tmp_path / "other.onnx").exists()
    manifest = read_manifest(tmp_path / FETCHED)
    verify(tmp_path, manifest)
    (origin,) = manifest.origins
    assert (origin.repository, origin.revision, origin.licence) == ("soul/tiny", COMMIT, "MIT")
    assert {file.path: file.sha256 for file in manifest.files}[WEIGHTS] == (
        hashlib.sha256(LARGE).hexdigest()
    )


def test_what_is_there_is_not_downloaded_again(hub: Hub, tmp_path: Path) -> None:
    get(hub, tmp_path)
    hub.asked.clear()
    get(hub, tmp_path)
    assert not [asked for asked in hub.asked if asked[0] == "GET"]


def test_an_interrupted_download_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.cut[WEIGHTS] = 300_000
    said = refused(hub, tmp_path)
    kept = 300_000 // CHUNK * CHUNK
    assert f"{WEIGHTS} was interrupted at {kept} of {len(LARGE)} bytes" in said
    assert "run it again, it goes on from there" in said
    assert not (tmp_path / WEIGHTS).exists()
    assert not (tmp_path / FETCHED).exists()
    hub.cut.clear()
    hub.asked.clear()
    get(hub, tmp_path)
    assert [asked for asked in hub.asked if asked[0] == "GET"] == [
        ("GET", WEIGHTS, f"bytes={kept}-")
    ]
    assert (tmp_path / WEIGHTS).read_bytes() == LARGE
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", WEIGHTS, FETCHED}


def test_a_file_with_the_wrong_hash_is_removed(hub: Hub, tmp_path: Path) -> None:
    hub.spoilt.add(WEIGHTS)
    said = refused(hub, tmp_path)
    assert f"{tmp_path / WEIGHTS} has the wrong hash" in said
    assert f"the hub says {hashlib.sha256(LARGE).hexdigest()}" in said
    assert not (tmp_path / WEIGHTS).exists()
    (tmp_path / "config.json").unlink()
    hub.spoilt = {"config.json"}
    assert "git says" in refused(hub, tmp_path)
    hub.spoilt.clear()
    get(hub, tmp_path)


def test_the_published_hash_and_the_earlier_one_hold_too(hub: Hub, tmp_path: Path) -> None:
    said = refused(hub, tmp_path, replace(ENTRY, sha256={WEIGHTS: "0" * 64}))
    assert f"was published {'0' * 64}" in said
    get(hub, tmp_path)
    hub.files[WEIGHTS] = LARGE[::-1]  # another file under the same commit
    (tmp_path / WEIGHTS).unlink()
    assert f"was published {hashlib.sha256(LARGE).hexdigest()}" in refused(hub, tmp_path)


def moved_to(hub: Hub, commit: str, weights: bytes) -> None:
    hub.commit, hub.files[WEIGHTS] = commit, weights
    hub.asked.clear()


def test_a_repository_that_has_moved_is_fetched_anew(hub: Hub, tmp_path: Path) -> None:
    get(hub, tmp_path)
    moved_to(hub, MOVED, LARGE[::-1])
    said: list[str] = []
    fetch(ENTRY, tmp_path, hub.endpoint, said=said.append)
    assert said == [f"soul/tiny has moved from {COMMIT} to {MOVED}; what changed is fetched"]
    assert [asked for asked in hub.asked if asked[0] == "GET"] == [("GET", WEIGHTS, None)]
    assert (tmp_path / WEIGHTS).read_bytes() == LARGE[::-1]
    manifest = read_manifest(tmp_path / FETCHED)
    verify(tmp_path, manifest)
    assert manifest.origins[0].revision == MOVED
    fetch(ENTRY, tmp_path, hub.endpoint, said=said.append)
    assert len(said) == 1, "it has not moved again"


def test_a_moved_repository_that_was_interrupted_goes_on_where_it_was(
    hub: Hub, tmp_path: Path
) -> None:
    get(hub, tmp_path)
    moved_to(hub, MOVED, LARGE[::-1])
    hub.cut[WEIGHTS] = 300_000
    assert "run it again, it goes on from there" in refused(hub, tmp_path)
    hub.cut.clear()
    hub.asked.clear()
    get(hub, tmp_path)
    kept = 300_000 // CHUNK * CHUNK
    assert [asked for asked in hub.asked if asked[0] == "GET"] == [
        ("GET", WEIGHTS, f"bytes={kept}-")
    ]
    assert (tmp_path / WEIGHTS).read_bytes() == LARGE[::-1]


def test_repositories_that_are_not_there_are_named(hub: Hub, tmp_path: Path) -> None:
    said = refused(hub, tmp_path, replace(ENTRY, repository="soul/none"))
    assert said == "the hub has no repository soul/none"
    said = refused(hub, tmp_path, replace(ENTRY, files=("*.gguf",)))
    assert said == "soul/tiny has none of the expected files: *.gguf"


def test_a_hub_cannot_write_outside_the_folder(hub: Hub, tmp_path: Path) -> None:
    for name in ("../model.safetensors", "/tmp/model.safetensors", "a/../../model.safetensors"):
        hub.files[name] = b"not wanted"
        said = refused(hub, tmp_path / "in")
        assert f"names {name!r}, which lies outside its own folder" in said
        del hub.files[name]
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_was_killed_before_its_last_step_is_taken_up(
    hub: Hub, tmp_path: Path
) -> None:
    digest = hashlib.sha256(LARGE).hexdigest()
    partial = tmp_path / f"{WEIGHTS}.{digest[:12]}.partial"
    for kept in (LARGE, LARGE + b"more"):  # whole; more than there is
        partial.write_bytes(kept)
        get(hub, tmp_path)
        assert (tmp_path / WEIGHTS).read_bytes() == LARGE
        assert not partial.exists()
        (tmp_path / WEIGHTS).unlink()


def test_a_hub_out_of_reach_is_one_sentence(tmp_path: Path) -> None:
    nobody = Hub("soul/tiny", {}, endpoint="http://127.0.0.1:9")
    assert "the hub cannot be reached for soul/tiny" in refused(nobody, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_gits_hash_is_gits(tmp_path: Path) -> None:
    (tmp_path / "hello").write_bytes(b"hello\n")  # git hash-object says so
    assert git_hash(tmp_path / "hello") == "ce013625030ba8dba906f756967f9e9ca394464a"

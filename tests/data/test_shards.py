"""Shards are tar files that WebDataset streams; each has its share without sound."""

from pathlib import Path

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from soul.data.config import ShardConfig
from soul.data.errors import StopError
from soul.data.shards import choose, discard, pack, packed


def stage(folder: Path, key: str, sound: bool = True) -> str:
    folder.mkdir(exist_ok=True)
    (folder / f"{key}.json").write_text(f'{{"clip": "{key}"}}')
    (folder / f"{key}.mp4").write_bytes(b"film of " + key.encode())
    if sound:
        (folder / f"{key}.wav").write_bytes(b"sound of " + key.encode())
    return key


def test_webdataset_reads_what_was_packed(tmp_path: Path) -> None:
    keys = [stage(tmp_path / "staged", "a-1"), stage(tmp_path / "staged", "b-2", sound=False)]
    stage(tmp_path / "staged", "c-3")
    target = tmp_path / "000000.tar"
    pack(keys, tmp_path / "staged", target)
    samples = list(webdataset.WebDataset(str(target), shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == keys
    assert samples[0]["json"] == {"clip": "a-1"}
    assert samples[0]["mp4"] == b"film of a-1"
    assert samples[0]["wav"] == b"sound of a-1"
    assert "wav" not in samples[1]
    assert packed(tmp_path) == {"a-1": "000000.tar", "b-2": "000000.tar"}
    left = sorted(path.name for path in (tmp_path / "staged").iterdir())
    assert left == ["c-3.json", "c-3.mp4", "c-3.wav"]


def test_the_same_clips_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        pack([stage(tmp_path / "staged", "a-1")], tmp_path / "staged", tmp_path / f"{name}.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_full_disk_leaves_no_shard_and_loses_no_clip(tmp_path: Path) -> None:
    key = stage(tmp_path / "staged", "a-1")
    (tmp_path / "000000.tar.part").symlink_to("/dev/full")
    with pytest.raises(StopError, match=r"000000.tar' cannot be written \(No space left"):
        pack([key], tmp_path / "staged", tmp_path / "000000.tar")
    assert packed(tmp_path) == {}
    assert (tmp_path / "staged" / "a-1.mp4").exists()
    assert list(tmp_path.glob("*.tar*")) == []


def test_half_a_shard_is_swept_away_and_a_broken_one_told(tmp_path: Path) -> None:
    (tmp_path / "000001.tar.part").write_bytes(b"half")
    assert packed(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "000001.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(StopError, match=r"000001.tar' is no whole shard"):
        packed(tmp_path)


def test_a_clip_is_discarded_whole(tmp_path: Path) -> None:
    discard(stage(tmp_path, "a-1"), tmp_path)
    discard("never-there", tmp_path)
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 12), st.sampled_from([0, 0.2, 0.5]))
def test_a_shard_has_at_most_its_share_without_sound(
    voiced: int, silent: int, clips: int, share: float
) -> None:
    loud, mute = [f"v{n}" for n in range(voiced)], [f"s{n}" for n in range(silent)]
    choice = choose(loud, mute, ShardConfig(clips, share))
    quiet = sum(key.startswith("s") for key in choice.keys)
    assert quiet <= share * len(choice.keys) + 1e-9
    assert len(set(choice.keys)) == len(choice.keys)
    if choice.full:
        assert len(choice.keys) == clips
    else:  # the last one: all that have sound, and no fewer silent ones than may be
        assert len(choice.keys) - quiet == voiced
        assert quiet == silent or quiet + 1 > share * (len(choice.keys) + 1)

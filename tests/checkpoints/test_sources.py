"""Files of tensors are opened without being read, and each way to be broken is one sentence."""

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from soul.checkpoints.sources import CheckpointError, metadata, open_tensors

VALUES = {
    "wide": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "whole": torch.tensor([1, 2], dtype=torch.int64),
}


RAN = Path("a-pickle-ran-this-code")


class Runs:
    """Pickled, it is a command for whoever opens it."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (RAN,)


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_tensors(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(path.parent) in sentence
    return sentence


def test_safetensors_and_pickles_hold_the_same(tmp_path: Path) -> None:
    save_file(VALUES, tmp_path / "a.safetensors", {"made": "here"})
    torch.save(VALUES, tmp_path / "a.pth")
    for path in (tmp_path / "a.safetensors", tmp_path / "a.pth"):
        found = open_tensors(path)
        assert found.keys() == VALUES.keys()
        for name, value in VALUES.items():
            assert (found[name].shape, found[name].dtype) == (tuple(value.shape), value.dtype)
            assert torch.equal(found[name].read(), value)
    assert metadata(tmp_path / "a.safetensors") == {"made": "here"}
    assert metadata(tmp_path / "a.pth") == {}


def test_files_of_an_older_pytorch_are_read_too(tmp_path: Path) -> None:
    torch.save(VALUES, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    found = open_tensors(tmp_path / "a.pt")
    for name, value in VALUES.items():
        assert torch.equal(found[name].read(), value)
    path = tmp_path / "a.pt"
    path.write_bytes(path.read_bytes()[:-10])
    assert "is truncated or damaged" in refused(path)


def test_a_trainers_wrapping_is_taken_off(tmp_path: Path) -> None:
    inner = {"state_dict": {"weight": torch.ones(2), "name": "tiny"}}
    torch.save({"generator": inner, "generator_ema": {}, "step": 7}, tmp_path / "a.pt")
    assert list(open_tensors(tmp_path / "a.pt")) == ["weight"]


def test_an_index_names_its_shards(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "1.safetensors")
    save_file({"b": torch.ones(2), "unnamed": torch.ones(3)}, tmp_path / "2.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    where = {"a": "1.safetensors", "b": "2.safetensors"}
    index.write_text(json.dumps({"weight_map": where}))
    assert {name: entry.shape for name, entry in open_tensors(index).items()} == {
        "a": (1,),
        "b": (2,),
    }
    index.write_text(json.dumps({"weight_map": {**where, "c": "1.safetensors"}}))
    assert "lacks 1 tensors that model.safetensors.index.json says" in refused(index)
    index.write_text(json.dumps({"weight_map": {"a": "3.safetensors"}}))
    assert "3.safetensors is missing: model.safetensors.index.json names it" in refused(index)
    for text in ("{}", "{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'):
        index.write_text(text)
        assert "is not an index: it has no weight_map" in refused(index)


def test_broken_safetensors_are_told_from_whole_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(VALUES, path)
    data = path.read_bytes()
    for length, sentence in (
        (len(data) - 1, f"is truncated: it has {len(data) - 1} bytes of {len(data)}"),
        (20, "is not a whole safetensors file: its header is cut off"),
        (3, "is not a whole safetensors file: its header is cut off"),
    ):
        path.write_bytes(data[:length])
        assert sentence in refused(path)
    path.write_bytes(struct.pack("<Q", 4) + b"true")
    assert "is not a safetensors file: its header is none" in refused(path)
    head = json.dumps({"a": {"dtype": "F4", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"0")
    assert "is not" in refused(path) or "type 'F4'" in refused(path)


def test_broken_pickles_are_told_from_dangerous_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(VALUES, path)
    path.write_bytes(path.read_bytes()[:-200])
    assert "is truncated or damaged: PyTorch cannot read it" in refused(path)
    for text in (b"<html>404</html>", b""):
        path.write_bytes(text)
        assert f"is no PyTorch file: it begins with {text[:2]!r}" in refused(path)
    path.write_bytes(pickle.dumps(Runs()))
    assert "is a pickle that holds more than tensors; it is not opened" in refused(path)
    assert not RAN.exists()
    torch.save({"weight": Path("/")}, path)
    assert "is a pickle that holds more than tensors; it is not opened" in refused(path)
    torch.save({"step": 3}, path)
    assert "holds no tensors" in refused(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert "is no file of tensors; expected .safetensors" in refused(tmp_path / "a.gguf")
    assert "is missing; expected a file of tensors" in refused(tmp_path / "none.pth")

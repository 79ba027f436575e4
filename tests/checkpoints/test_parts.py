"""The parts are found where people have them; several or none of them is one sentence."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import made_checkpoints as made
from soul.checkpoints.manifest import (
    FETCHED,
    Manifest,
    Origin,
    described,
    untold,
    write_manifest,
)
from soul.checkpoints.parts import (
    TEXT,
    VAE,
    file_of,
    part_of,
    renamed,
    tokenizer_of,
    told_of,
    transformer,
    undamaged,
)
from soul.checkpoints.sources import CheckpointError

ONE = {"blocks.0.ffn.0.weight": torch.ones(1)}


def test_an_index_comes_before_its_shards_and_other_models_do_not_count(tmp_path: Path) -> None:
    made.save_sharded({"a": torch.ones(1), "b": torch.ones(1), "c": torch.ones(1)}, tmp_path)
    for name in ("Wan2.2_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth", "taew2_2.pth"):
        (tmp_path / name).write_bytes(b"")
    assert file_of(tmp_path).name == "diffusion_pytorch_model.safetensors.index.json"
    file_of(tmp_path).unlink()
    with pytest.raises(CheckpointError, match=r"holds shards without their \.safetensors"):
        file_of(tmp_path)


def test_several_files_or_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no weights; expected diffusion_pytorch_model"):
        file_of(tmp_path)
    for name in ("model_bf16.pt", "model_te.pt"):
        torch.save(ONE, tmp_path / name)
    with pytest.raises(CheckpointError, match=r"several .*: model_bf16.pt, model_te.pt; name one"):
        file_of(tmp_path)
    assert list(transformer(tmp_path / "model_bf16.pt").tensors) == list(ONE)
    with pytest.raises(CheckpointError, match="is missing; expected a folder or a file"):
        transformer(tmp_path / "none")


def test_names_are_bared_and_lora_keeps_its_own(tmp_path: Path) -> None:
    names = ["model.blocks.0.attn1.to_q.weight", "transformer.blocks.0.attn1.to_q.lora_A.weight"]
    save_file({name: torch.ones(1) for name in names}, tmp_path / "a.safetensors")
    found = transformer(tmp_path / "a.safetensors").tensors
    assert set(found) == {"blocks.0.self_attn.q.weight", names[1]}
    save_file({"model.a": torch.ones(1), "a": torch.ones(1)}, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="holds a twice, once as"):
        transformer(tmp_path / "b.safetensors")


def test_the_tied_embedding_may_be_stored_twice(tmp_path: Path) -> None:
    names = ("shared.weight", "encoder.embed_tokens.weight")
    folder = tmp_path / "text_encoder"
    folder.mkdir()
    save_file({name: torch.ones(2, 3) for name in names}, folder / "model.safetensors")
    assert list(part_of(TEXT, [tmp_path]).tensors) == ["shared.weight"]


def test_parts_come_from_the_first_place_that_has_them(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (second / "vae").mkdir(parents=True)
    save_file(ONE, second / "vae" / "diffusion_pytorch_model.safetensors")
    made.save_tokenizer(second / "tokenizer")
    assert part_of(VAE, [first, second]).path.parent == second / "vae"
    assert tokenizer_of([first, second]) == second / "tokenizer"
    with pytest.raises(CheckpointError, match=r"neither .*first nor .*second has the text"):
        part_of(TEXT, [first, second])
    with pytest.raises(CheckpointError, match="first has no tokenizer; expected google/umt5-xxl/"):
        tokenizer_of([first])
    (second / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="vae holds no weights"):
        part_of(VAE, [second])


def test_a_damaged_file_is_known_by_its_folders_hashes(tmp_path: Path) -> None:
    (tmp_path / "Model_Pro").mkdir()
    names = ("Model_Pro/model.safetensors", "LICENSE")
    for name in names:
        (tmp_path / name).write_bytes(b"as published")
    origin = Origin("avatar", "Apache-2.0")
    files = tuple(described(tmp_path, name) for name in names)
    write_manifest(Manifest("avatar", (origin,), files), tmp_path / FETCHED)
    source = tmp_path / "Model_Pro"
    for place in (source, source / "model.safetensors"):
        found = told_of(place)
        assert found is not None
        assert found[1].origins == (origin,)
    seen: list[str] = []
    (tmp_path / "LICENSE").unlink()  # nobody needs it
    undamaged(source, lambda what, done, total: seen.append(what))
    assert seen == ["checking model.safetensors"]
    (source / "model.safetensors").write_bytes(b"as publishe!")
    with pytest.raises(CheckpointError, match=r"model.safetensors is damaged: its SHA-256 is"):
        undamaged(source, untold)
    (tmp_path / "elsewhere" / "weights").mkdir(parents=True)
    assert told_of(tmp_path / "elsewhere" / "weights") is None
    undamaged(tmp_path / "elsewhere" / "weights", untold)


def test_a_file_is_renamed_by_any_map(tmp_path: Path) -> None:
    save_file(ONE, tmp_path / "a.safetensors")
    assert list(renamed(tmp_path / "a.safetensors", str.upper).tensors) == ["BLOCKS.0.FFN.0.WEIGHT"]

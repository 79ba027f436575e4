"""LoRA in every trainer's words is one and the same change of a weight; half a pair is none."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from soul.checkpoints.lora import Pair, alpha_of, bare, has_pairs, merge, read_pairs, split
from soul.checkpoints.sources import CheckpointError, Entry, Tensors

HERE = Path("style.safetensors")
LAYER = "blocks.7.self_attn.q"


def entry(value: torch.Tensor) -> Entry:
    return Entry(tuple(value.shape), value.dtype, lambda: value)


DOWN, UP, WEIGHT = torch.randn(2, 6), torch.randn(4, 2), torch.randn(4, 6)
BASE: Tensors = {f"{LAYER}.weight": entry(WEIGHT), f"{LAYER}.bias": entry(torch.zeros(4))}


@pytest.mark.parametrize(
    ("down", "up"),
    [
        (
            "transformer.blocks.7.attn1.to_q.lora_A.weight",
            "transformer.blocks.7.attn1.to_q.lora_B.weight",
        ),
        (f"diffusion_model.{LAYER}.lora_A.weight", f"diffusion_model.{LAYER}.lora_B.weight"),
        (f"diffusion_model.{LAYER}.lora_down.weight", f"diffusion_model.{LAYER}.lora_up.weight"),
        (
            f"base_model.model.{LAYER}.lora_A.default.weight",
            f"base_model.model.{LAYER}.lora_B.default.weight",
        ),
        (f"{LAYER}.lora_A.default.weight", f"{LAYER}.lora_B.default.weight"),
        (
            "lora_unet_blocks_7_self_attn_q.lora_down.weight",
            "lora_unet_blocks_7_self_attn_q.lora_up.weight",
        ),
    ],
)
def test_every_trainers_names_mean_the_same_layer(down: str, up: str) -> None:
    tensors = {down: entry(DOWN), up: entry(UP)}
    assert has_pairs(tensors)
    pairs = read_pairs(tensors, [LAYER], None, HERE)
    merged = merge(BASE, pairs, 0.5, HERE)
    torch.testing.assert_close(merged[f"{LAYER}.weight"].read(), WEIGHT + 0.5 * UP @ DOWN)
    assert merged[f"{LAYER}.bias"] is BASE[f"{LAYER}.bias"]


def test_alpha_comes_from_the_file_before_anything_else() -> None:
    tensors = {f"{LAYER}.lora_down.weight": entry(DOWN), f"{LAYER}.lora_up.weight": entry(UP)}
    told = tensors | {f"{LAYER}.alpha": entry(torch.tensor(3.0))}
    assert read_pairs(tensors, [LAYER], None, HERE)[LAYER].alpha == 2.0  # the rank
    assert read_pairs(tensors, [LAYER], 8.0, HERE)[LAYER].alpha == 8.0
    pair = read_pairs(told, [LAYER], 8.0, HERE)[LAYER]
    torch.testing.assert_close(pair.delta(), UP @ DOWN * 1.5)


def test_what_is_no_pair_goes_apart() -> None:
    tensors = {f"{LAYER}.lora_A.weight": entry(DOWN), "patch_embedding.bias": entry(DOWN)}
    mine, others = split(tensors)
    assert (list(mine), list(others)) == ([f"{LAYER}.lora_A.weight"], ["patch_embedding.bias"])


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([f"{LAYER}.lora_A.weight"], "holds half of a LoRA pair alone: blocks.7.self_attn.q"),
        ([f"{LAYER}.diff_b"], "holds tensors that are no LoRA pair: blocks.7.self_attn.q.diff_b"),
        ([], "holds no LoRA pairs; expected lora_A and lora_B"),
    ],
)
def test_half_a_pair_and_other_things_are_refused(names: list[str], sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        read_pairs({name: entry(DOWN) for name in names}, [LAYER], None, HERE)


def test_layers_that_are_not_there_or_differ_are_named() -> None:
    pair = Pair(entry(DOWN), entry(UP), 2.0)
    with pytest.raises(CheckpointError, match=r"does not have: blocks.\*.ffn.9 ×2"):
        merge(BASE, {"blocks.0.ffn.9": pair, "blocks.1.ffn.9": pair}, 1.0, HERE)
    wrong = Pair(entry(torch.zeros(2, 5)), entry(UP), 2.0)
    said = r"pair of blocks.7.self_attn.q has shapes \[4, 2\] and \[2, 5\], expected \[4, rank\]"
    with pytest.raises(CheckpointError, match=said):
        merge(BASE, {LAYER: wrong}, 1.0, HERE)


def test_prefixes_are_taken_off() -> None:
    assert bare("model.diffusion_model.blocks.0.ffn.0.bias") == "blocks.0.ffn.0.bias"
    assert bare("module.model._fsdp_wrapped_module.head.head.bias") == "head.head.bias"
    assert bare("pipe.dit.audio_proj.proj.bias") == "audio_proj.proj.bias"


def test_alpha_is_told_by_the_metadata_or_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "lora.safetensors"
    save_file({"a": DOWN}, file)
    assert alpha_of(file) is None
    (tmp_path / "adapter_config.json").write_text('{"lora_alpha": "high"}')
    with pytest.raises(CheckpointError, match="lora_alpha is 'high', expected a number"):
        alpha_of(file)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 128, "lora_alpha": 64}))
    assert alpha_of(file) == 64.0
    save_file({"a": DOWN}, file, {"lora_adapter_metadata": '{"transformer.lora_alpha": 16}'})
    assert alpha_of(file) == 16.0
    (tmp_path / "adapter_config.json").write_text("{")
    save_file({"a": DOWN}, file)
    with pytest.raises(CheckpointError, match=r"its adapter_config\.json is not a config"):
        alpha_of(file)

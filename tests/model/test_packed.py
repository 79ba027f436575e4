"""Packed audio: the vector is what the formula says, and it reaches the blocks that are named."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from soul.model.config import SOUL_TEST, ConfigError, DiTConfig
from soul.model.dit import DiT, copy_text_to_audio
from soul.model.packed import PackedAudio

PACKED = replace(
    SOUL_TEST.dit, audio_form="packed", audio_blocks=(1,), audio_width=8, condition_channels=3
)


def test_a_latents_frames_become_one_vector_a_block() -> None:
    torch.manual_seed(0)
    packed = PackedAudio(PACKED).requires_grad_(False)
    packed.norm.weight.normal_()
    audio = torch.randn(2, 3, 4, PACKED.audio_dim)
    row = torch.cat(list(audio[1, 2]))  # frame after frame
    short = packed.proj.weight @ row + packed.proj.bias
    short = (short - short.mean()) / (short.var(correction=0) + 1e-5).sqrt()
    short = short * packed.norm.weight + packed.norm.bias
    layer = cast(nn.Linear, packed.to_block[0])
    expected = layer.weight @ short + layer.bias
    found = packed(audio)
    assert found.keys() == {1}
    assert found[1].shape == (2, 3, PACKED.dim)
    torch.testing.assert_close(found[1][1, 2], expected)


def passes(dit: DiT, audio: Tensor | None) -> tuple[Tensor, Tensor]:
    """(keys [layers, 1, heads, 3 · 4, head_dim], flow) of a chunk of three latents."""
    draw = torch.Generator().manual_seed(0)
    latent = torch.randn(1, PACKED.latent_channels + 3, 3, 4, 4, generator=draw)
    text = torch.randn(1, 24, 16, generator=draw)
    seen = dit(latent, torch.tensor([500.0]), text, audio, None, keep=True)
    return seen.keys, seen.flow


def test_the_transformer_adds_it_before_its_block_alone() -> None:
    torch.manual_seed(0)
    dit = DiT(PACKED).requires_grad_(False)
    names = dit.state_dict().keys()
    assert not any(".audio_attn." in name or ".norm_audio." in name for name in names)
    assert {name for name in names if "audio" in name} == {
        f"packed_audio.{layer}.{kind}"
        for layer in ("proj", "norm", "to_block.0")
        for kind in ("weight", "bias")
    }
    assert dit.patch_embedding.in_channels == PACKED.latent_channels + 3
    heard, flow = passes(dit, torch.randn(1, 3, 4, 16))
    silent, _ = passes(dit, None)
    assert torch.equal(heard[0], silent[0])  # block 0 comes before
    assert not torch.allclose(heard[1], silent[1])
    assert flow.shape == (1, PACKED.latent_channels, 3, 4, 4)


def test_each_latents_tokens_hear_their_own_and_the_first_may_be_deaf() -> None:
    """Keys of a block know of the block before alone, so they tell to whom it was added."""
    torch.manual_seed(0)
    dit = DiT(PACKED).requires_grad_(False)
    two = torch.randn(1, 2, 4, 16)
    keys, changed = passes(dit, two)[0][1], passes(dit, two * torch.tensor([1, -1])[:, None, None])
    silent = passes(dit, None)[0][1]
    differs = [
        [not torch.allclose(a[0, :, 4 * n : 4 * n + 4], b[0, :, 4 * n : 4 * n + 4])
         for n in range(3)]
        for a, b in ((keys, silent), (keys, changed[0][1]))
    ]  # fmt: skip
    assert differs == [[False, True, True], [False, False, True]]


def test_projections_of_zero_change_nothing() -> None:
    torch.manual_seed(0)
    dit = DiT(PACKED).requires_grad_(False)
    for parameter in dit.packed_audio.to_block.parameters():
        parameter.zero_()
    audio = torch.randn(1, 3, 4, 16)
    for found, silent in zip(passes(dit, audio), passes(dit, None), strict=True):
        assert torch.equal(found, silent)


def test_sound_of_another_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(13, 16\) rows and features a latent, .*\(4, 16\)"):
        DiT(PACKED).packed_audio(torch.zeros(1, 1, 13, 16))


def test_there_are_no_layers_to_start_from_text() -> None:
    with pytest.raises(ValueError, match="packed sound has no layers to copy text layers to"):
        copy_text_to_audio(DiT(PACKED))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"audio_form": "loud"},
            "dit.audio_form 'loud' is not known; expected attention, packed, none",
        ),
        ({"audio_form": "packed"}, r"dit.audio_blocks \[\] do not go with"),
        ({"audio_blocks": (1,)}, r"dit.audio_blocks \[1\] do not go with"),
        ({"audio_form": "packed", "audio_blocks": [30]}, "expected numbers below 30"),
    ],
)
def test_forms_that_cannot_be_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        replace(DiTConfig(), **changes)  # type: ignore[arg-type]

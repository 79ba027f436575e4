"""Packed audio: the vector is what the formula says, and it reaches the blocks that are named."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from soul.model.config import SOUL_TEST, ConfigError, DiTConfig
from soul.model.dit import DiT
from soul.model.packed import PackedAudio

PACKED = replace(
    SOUL_TEST.dit, audio_form="packed", audio_blocks=(1,), audio_width=8, condition_channels=3
)


def test_a_latents_frames_become_one_vector_a_block() -> None:
    torch.manual_seed(0)
    packed = PackedAudio(PACKED).requires_grad_(False)
    packed.norm.weight.normal_()
    audio = torch.randn(2, 4, PACKED.audio_dim)
    row = torch.cat(list(audio[1]))  # frame after frame
    short = packed.proj.weight @ row + packed.proj.bias
    short = (short - short.mean()) / (short.var(correction=0) + 1e-5).sqrt()
    short = short * packed.norm.weight + packed.norm.bias
    (layer,) = packed.to_block
    assert isinstance(layer, nn.Linear)
    expected = layer.weight @ short + layer.bias
    found = packed(audio)
    assert found.keys() == {1}
    assert found[1].shape == (2, 1, PACKED.dim)
    torch.testing.assert_close(found[1][1, 0], expected)


def test_the_transformer_adds_it_before_its_block_alone() -> None:
    torch.manual_seed(0)
    dit = DiT(PACKED).requires_grad_(False)
    names = dit.state_dict().keys()
    assert not any(".audio_attn." in name or ".norm_audio." in name for name in names)
    assert dit.patch_embedding.in_channels == PACKED.latent_channels + 3
    latent = torch.randn(1, PACKED.latent_channels + 3, 4, 4)
    text, audio = torch.randn(1, 24, 16), torch.randn(1, 4, 16)
    time = torch.tensor([500.0])
    heard = dit(latent, time, text, audio, None)
    silent = dit(latent, time, text, None, None)
    assert torch.equal(heard.keys[0], silent.keys[0])  # block 0 comes before
    assert not torch.allclose(heard.keys[1], silent.keys[1])
    assert heard.flow.shape == (1, PACKED.latent_channels, 4, 4)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"audio_form": "loud"},
            "dit.audio_form 'loud' is not known; expected attention or packed",
        ),
        ({"audio_form": "packed"}, r"dit.audio_blocks \[\] do not go with"),
        ({"audio_blocks": (1,)}, r"dit.audio_blocks \[1\] do not go with"),
        ({"audio_form": "packed", "audio_blocks": [30]}, "expected numbers below 30"),
    ],
)
def test_forms_that_cannot_be_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        replace(DiTConfig(), **changes)  # type: ignore[arg-type]

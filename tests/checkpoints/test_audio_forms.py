"""Public audio-driven checkpoints, at their true sizes: every tensor has its place, or a reason.

The key lists are short tables of what the public code builds: snap-research/TalkVerse at 3607ff2,
chanjing-ai/Jogg-Avatar-V2V at fdbfdd7, Soul-AILab/SoulX-FlashHead at 12467ce,
Omni-Avatar/OmniAvatar at 1536bf3, GAIR-NLP/LiveTalk at 53b2c22, amap-cvlab/ABot-World at e260168.
"""

import math
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from soul.checkpoints.audio_forms import FORMS, PLAIN, form_of, talkverse_blocks
from soul.checkpoints.compare import Shape
from soul.checkpoints.convert import Options, Transformer, assemble
from soul.checkpoints.families import WAN_1_3B, WAN_5B, Family, dit_shapes
from soul.checkpoints.parts import Part
from soul.checkpoints.sources import CheckpointError, Entry, Tensors
from soul.model.config import DiTConfig
from soul.model.dit import DiT

RANK = 128
HERE = Path("avatar.safetensors")
Shapes = dict[str, Shape]


def linear(name: str, enters: int, leaves: int) -> Shapes:
    return {f"{name}.weight": (leaves, enters), f"{name}.bias": (leaves,)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def lora(config: DiTConfig, layers: Iterable[str], ending: str) -> Shapes:
    """Pairs of rank 128 in every block."""
    wide = {"ffn.0": (config.dim, config.ffn_dim), "ffn.2": (config.ffn_dim, config.dim)}
    shapes: Shapes = {}
    for block in range(config.layers):
        for layer in layers:
            enters, leaves = wide.get(layer, (config.dim, config.dim))
            shapes[f"blocks.{block}.{layer}.lora_A{ending}"] = (RANK, enters)
            shapes[f"blocks.{block}.{layer}.lora_B{ending}"] = (leaves, RANK)
    return shapes


ATTENTIONS = [f"{a}_attn.{layer}" for a in ("self", "cross") for layer in "qkvo"]
FFN = ["ffn.0", "ffn.2"]


def body(config: DiTConfig, channels: int) -> Shapes:
    """Plain Wan with more channels that enter."""
    patch = {"patch_embedding.weight": (config.dim, channels, 1, 2, 2)}
    return dit_shapes(config, audio=False) | patch


def packed(config: DiTConfig) -> Shapes:
    """wav2vec2: 14 layers of 768, four frames a latent, into 32 numbers; a layer for 14 blocks."""
    shapes = linear("audio_proj.proj", 4 * 14 * 768, 32) | norm("audio_proj.norm_out", 32)
    for number in range(config.layers // 2 - 1):
        shapes |= linear(f"audio_cond_projs.{number}", 32, config.dim)
    return shapes


def avatar_lora(config: DiTConfig, channels: int) -> Shapes:
    """Of OmniAvatar and Jogg-Avatar: LoRA by PEFT, a new patch embedding, packed audio."""
    patch = {
        "patch_embedding.weight": (config.dim, channels, 1, 2, 2),
        "patch_embedding.bias": (config.dim,),
    }
    return lora(config, ATTENTIONS + FFN, ".default.weight") | patch | packed(config)


def flashhead(config: DiTConfig, channels: int) -> Shapes:
    """Pro: no text is attended to; 32 audio tokens a latent; an MLP that is never called."""
    feature = 12 * 768
    shapes = body(config, 2 * channels)
    shapes |= linear("head.head", config.dim, 4 * channels)
    shapes |= linear("audio_proj.proj1", 5 * feature, 512)
    shapes |= linear("audio_proj.proj1_vf", 8 * feature, 512)
    shapes |= linear("audio_proj.proj2", 512, 512)
    shapes |= linear("audio_proj.proj3", 512, 32 * 1536) | norm("audio_proj.norm", 1536)
    shapes |= norm("audio_emb.proj.0", 768) | linear("audio_emb.proj.1", 768, 768)
    return shapes | linear("audio_emb.proj.3", 768, 1536) | norm("audio_emb.proj.4", 1536)


def conv(name: str, enters: int, leaves: int) -> Shapes:
    return {f"{name}.conv.weight": (leaves, enters, 3), f"{name}.conv.bias": (leaves,)}


def talkverse(config: DiTConfig) -> Shapes:
    """640 tensors: LoRA, layers around the blocks, audio attention at 11 blocks, past frames."""
    dim = config.dim
    around = ("time_embedding.", "time_projection.", "head.")
    shapes = {k: v for k, v in dit_shapes(config, audio=False).items() if k.startswith(around)}
    shapes |= lora(config, [*ATTENTIONS[:6], *FFN], ".weight")
    for number in range(11):
        for layer in "qkvo":
            shapes |= linear(f"audio_injector.injector.{number}.{layer}", dim, dim)
        for side in "qk":
            shapes[f"audio_injector.injector.{number}.norm_{side}.weight"] = (dim,)
        shapes |= linear(f"audio_injector.injector_adain_layers.{number}.linear", dim, 2 * dim)
    for layer, kernel in (("proj", (1, 2, 2)), ("proj_2x", (2, 4, 4)), ("proj_4x", (4, 8, 8))):
        shapes[f"frame_packer.{layer}.weight"] = (dim, 48, *kernel)
        shapes[f"frame_packer.{layer}.bias"] = (dim,)
    shapes["trainable_cond_mask.weight"] = (3, dim)
    encoder = "casual_audio_encoder"
    shapes |= {
        f"{encoder}.weights": (1, 25, 1, 1),
        f"{encoder}.encoder.padding_tokens": (1, 1, 1, dim),
    }
    shapes |= conv(f"{encoder}.encoder.conv1_local", 1024, dim)
    shapes |= conv(f"{encoder}.encoder.conv1_global", 1024, dim // 4)
    shapes |= conv(f"{encoder}.encoder.conv2", dim // 4, dim // 2)
    shapes |= conv(f"{encoder}.encoder.conv3", dim // 2, dim)
    return shapes | linear(f"{encoder}.encoder.final_linear", dim, dim)


def unread() -> torch.Tensor:
    raise AssertionError("only shapes are looked at")


def entries(shapes: Shapes) -> Tensors:
    return {name: Entry(shape, torch.bfloat16, unread) for name, shape in shapes.items()}


def mapped(
    family: Family, shapes: Shapes, alpha: float | None = None, partial: bool = False
) -> Transformer:
    """`shapes` over the family's base."""
    base = Part(entries(dit_shapes(family.dit, audio=False)), HERE)
    mine = Part(entries(shapes), HERE)
    return assemble(mine, base, Options(partial=partial), None, alpha)


def count(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def fits(found: Transformer) -> bool:
    expected = dit_shapes(found.config, audio=True)
    return {name: entry.shape for name, entry in found.tensors.items()} == expected


@pytest.mark.parametrize(
    ("family", "channels", "alpha"), [(WAN_5B, 97, 64.0), (WAN_1_3B, 33, 64.0)]
)
def test_jogg_avatar_and_omniavatar_are_packed_audio(
    family: Family, channels: int, alpha: float
) -> None:
    found = mapped(family, avatar_lora(family.dit, channels), alpha)
    assert (found.form.name, found.family, found.complete) == ("packed", family, False)
    config = found.config
    assert config.condition_channels == channels - family.dit.latent_channels
    assert (config.audio_form, config.audio_blocks) == ("packed", tuple(range(2, 16)))
    assert (config.audio_dim, config.audio_width) == (14 * 768, 32)
    assert fits(found)
    assert found.left_out == ()


def test_their_loras_alpha_has_to_be_told() -> None:
    with pytest.raises(CheckpointError, match="does not say its LoRA's alpha; expected lora_alpha"):
        mapped(WAN_5B, avatar_lora(WAN_5B.dit, 97))


def test_livetalk_is_packed_audio_with_a_body_of_its_own() -> None:
    shapes = body(WAN_1_3B.dit, 33) | packed(WAN_1_3B.dit)
    assert count(shapes) == 1_421_187_232  # the published header says 1.421 B
    found = mapped(WAN_1_3B, shapes)
    assert (found.form.name, found.complete) == ("packed", True)
    assert found.config.condition_channels == 17
    assert fits(found)


def test_flashhead_is_audio_attention_without_text() -> None:
    shapes = flashhead(WAN_1_3B.dit, 16)
    assert count(shapes) == 1_507_694_912  # the published header says 1.508 B
    found = mapped(WAN_1_3B, shapes)
    assert found.form.name == "flashhead"
    config = found.config
    assert (config.audio_form, config.audio_dim, config.condition_channels) == (
        "attention",
        1536,
        16,
    )
    assert fits(found)
    assert found.front.keys() == {
        f"{layer}.{kind}"
        for layer in ("proj1", "proj1_vf", "proj2", "proj3", "norm")
        for kind in ("weight", "bias")
    }
    (line,) = found.left_out
    assert line.endswith("built, and never called by its own forward pass")
    assert "audio_emb.proj.1.weight" in line


def test_flashhead_lite_is_refused_for_its_latents() -> None:
    said = "on latents of 128 channels, those of another VAE .*; expected 16"
    with pytest.raises(CheckpointError, match=said):
        mapped(WAN_1_3B, flashhead(WAN_1_3B.dit, 128))


def test_talkverse_is_refused_with_the_reasons() -> None:
    shapes = talkverse(WAN_5B.dit)
    # In bf16, and with a header of 71,336 bytes, exactly the 2,095,794,778 that were published.
    assert (len(shapes), count(shapes)) == (640, (2_095_794_778 - 71_336) // 2)
    with pytest.raises(CheckpointError) as caught:
        mapped(WAN_5B, shapes)
    first, *lines = str(caught.value).splitlines()
    assert "cannot be mapped whole (talkverse); with --partial" in first
    assert len(lines) == 3
    assert "audio_injector.injector_adain_layers.*.linear.weight ×11" in lines[0]
    assert "follow the sound" in lines[0]
    assert "past frames as packed tokens" in lines[1]


def test_what_fits_of_talkverse_is_a_start_for_training() -> None:
    found = mapped(WAN_5B, talkverse(WAN_5B.dit), partial=True)
    assert fits(found)
    assert len(found.left_out) == 3
    assert len(found.front) == 12
    assert talkverse_blocks(30) == [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 29]
    for block in range(30):
        entry = found.tensors[f"blocks.{block}.audio_attn.o.weight"]
        theirs = entry.read is unread
        assert theirs == (block in talkverse_blocks(30))


def test_abot_world_is_plain_wan_without_its_keys() -> None:
    adapter: Shapes = {
        "act_control_adapter.conv.weight": (3072, 32 * 16 * 16, 2, 2),
        "act_control_adapter.conv.bias": (3072,),
    }
    for layer in ("conv1", "conv2"):
        name = f"act_control_adapter.residual_blocks.0.{layer}"
        adapter |= {f"{name}.weight": (3072, 3072, 3, 3), f"{name}.bias": (3072,)}
    found = mapped(WAN_5B, dit_shapes(WAN_5B.dit, audio=False) | adapter)
    assert (found.form.name, found.config) == ("abot-world", WAN_5B.dit)
    assert len(found.left_out) == 1
    assert found.tensors.keys() == dit_shapes(WAN_5B.dit, audio=False).keys()


def test_plain_wan_has_no_sign() -> None:
    assert form_of(dit_shapes(WAN_1_3B.dit, audio=False)) is PLAIN
    assert len({form.sign for form in FORMS}) == len(FORMS)


def test_what_is_made_leaves_the_meaning_as_it_was() -> None:
    """Without text: whatever is said, the same comes out; tokens enter as they are."""
    config = DiTConfig(
        dim=24,
        ffn_dim=32,
        layers=4,
        heads=2,
        latent_channels=4,
        text_dim=8,
        audio_dim=24,
        freq_dim=8,
    )
    torch.manual_seed(0)
    dit = DiT(config).requires_grad_(False)
    form = next(form for form in FORMS if form.name == "flashhead")
    made = {name: entry.read() for name, entry in form.made(config).items()}
    missing, unexpected = dit.load_state_dict(made, strict=False)
    assert unexpected == []
    assert not any(".cross_attn." in name or ".norm3." in name for name in missing)
    latent, audio = torch.randn(1, 4, 1, 4, 4), torch.randn(1, 1, 3, 24)
    time = torch.tensor([300.0])
    one, other = (dit(latent, time, torch.randn(1, 5, 8), audio, None).flow for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(dit.audio_embedding(audio), audio)

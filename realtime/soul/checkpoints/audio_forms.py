"""Public checkpoints of this family that are not plain Wan: how each fits this project's forms.

Two forms of sound are known to the transformer: Soul's audio attention in every block, and packed
audio added before some blocks. For each checkpoint: which of its tensors go where, which are made
because theirs means the same without them, which are left out, and what refuses it. The key lists
are those of the public code, checked against the published parameter counts. No files, no values
but zeros, ones and identities.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from soul.checkpoints.compare import Shape
from soul.checkpoints.sources import CheckpointError, Entry, Tensors
from soul.model.config import DiTConfig
from soul.timebase import FRAMES_PER_LATENT

# Jogg-Avatar, the one of its kind on 48 channels, keeps the film's edge: cells that are not masked.
JOGG_CHANNELS, JOGG_EDGE = 48, 3
AUDIO_FRONT = "audio_front"  # a part of its own: what makes audio tokens of features
FRONT = f"{AUDIO_FRONT}."  # of the names that go there

Shapes = Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of checkpoint, told by a tensor that it alone has."""

    name: str
    sign: str  # a pattern; the first form whose sign is found is the one
    hears: bool  # whether it brings layers that hear
    rename: Callable[[str, DiTConfig], str] = lambda name, config: name
    settings: Callable[[DiTConfig, Shapes], DiTConfig] = lambda config, found: config
    made: Callable[[DiTConfig], Tensors] = lambda config: {}
    # Patterns, and why: what nothing is lost without, and what this project cannot express.
    idle: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    alpha_told: bool = False  # its LoRA's alpha stands in a config beside it, and nowhere else


def constant(shape: Shape, value: float) -> Entry:
    return Entry(shape, torch.float32, lambda: torch.full(shape, value))


def eye(side: int) -> Entry:
    return Entry((side, side), torch.float32, lambda: torch.eye(side))


def silent_attention(prefix: str, dim: int) -> Tensors:
    """A cross-attention that answers zero, exactly: its last layer is zero."""
    layers = {f"{prefix}.{layer}" for layer in "qkvo"}
    return (
        {f"{layer}.weight": constant((dim, dim), 0.0) for layer in sorted(layers)}
        | {f"{layer}.bias": constant((dim,), 0.0) for layer in sorted(layers)}
        | {f"{prefix}.norm_{side}.weight": constant((dim,), 1.0) for side in "qk"}
    )


def plain_norm(prefix: str, dim: int) -> Tensors:
    return {f"{prefix}.weight": constant((dim,), 1.0), f"{prefix}.bias": constant((dim,), 0.0)}


def as_tokens(dim: int) -> Tensors:
    """The embedding of audio tokens that have the transformer's width already: the identity."""
    return {"audio_embedding.weight": eye(dim), "audio_embedding.bias": constant((dim,), 0.0)}


def conditions(config: DiTConfig, found: Shapes, what: str) -> DiTConfig:
    """With the condition channels that the patch embedding shows; refuses foreign latents."""
    leaves = shape(found, "head.head.bias", what)[0] // config.patch**2
    if leaves != config.latent_channels:
        raise CheckpointError(
            f"{what} works on latents of {leaves} channels, those of another VAE (LTX-Video's has "
            f"128); expected {config.latent_channels}"
        )
    enters = shape(found, "patch_embedding.weight", what)[1]
    return replace(config, condition_channels=enters - config.latent_channels)


def shape(found: Shapes, name: str, what: str) -> Shape:
    """CheckpointError if the tensor that tells a size is not there."""
    if name not in found:
        raise CheckpointError(f"{what} needs {name}, and it is missing")
    return found[name]


# OmniAvatar (arXiv 2506.18866), LiveTalk, Jogg-Avatar: wav2vec2's layers packed, added before the
# blocks from the third to the middle one.


def packed_name(name: str, config: DiTConfig) -> str:
    name = name.replace("audio_proj.proj.", "packed_audio.proj.")
    name = name.replace("audio_proj.norm_out.", "packed_audio.norm.")
    return name.replace("audio_cond_projs.", "packed_audio.to_block.")


def packed_settings(config: DiTConfig, found: Shapes) -> DiTConfig:
    width, features = shape(found, "packed_audio.proj.weight", "packed audio")
    return replace(
        conditions(config, found, "packed audio"),
        audio_form="packed",
        audio_blocks=tuple(range(2, config.layers // 2 + 1)),
        audio_width=width,
        audio_dim=features // FRAMES_PER_LATENT,
        condition_edge=JOGG_EDGE if config.latent_channels == JOGG_CHANNELS else 0,
    )


# SoulX-FlashHead: no text at all; the block's cross-attention hears 32 tokens a latent.


def flashhead_name(name: str, config: DiTConfig) -> str:
    name = name.replace(".cross_attn.", ".audio_attn.").replace(".norm3.", ".norm_audio.")
    return re.sub(r"^audio_proj\.", FRONT, name)


def flashhead_settings(config: DiTConfig, found: Shapes) -> DiTConfig:
    return replace(conditions(config, found, "SoulX-FlashHead"), audio_dim=config.dim)


def flashhead_made(config: DiTConfig) -> Tensors:
    """Text attention that answers zero, and tokens taken as they are."""
    tensors = as_tokens(config.dim)
    for block in range(config.layers):
        tensors |= silent_attention(f"blocks.{block}.cross_attn", config.dim)
        tensors |= plain_norm(f"blocks.{block}.norm3", config.dim)
    return tensors


# TalkVerse: an audio attention behind every third block, and behind the last.


def talkverse_blocks(layers: int) -> list[int]:
    return sorted({*range(0, layers, 3), layers - 1})


def talkverse_name(name: str, config: DiTConfig) -> str:
    blocks = talkverse_blocks(config.layers)
    if match := re.fullmatch(r"audio_injector\.injector\.(\d+)\.(.+)", name):
        number = int(match[1])
        return f"blocks.{blocks[number]}.audio_attn.{match[2]}" if number < len(blocks) else name
    return re.sub(r"^casual_audio_encoder\.", FRONT, name)


def talkverse_made(config: DiTConfig) -> Tensors:
    tensors = as_tokens(config.dim)
    for block in range(config.layers):
        tensors |= plain_norm(f"blocks.{block}.norm_audio", config.dim)
        if block not in talkverse_blocks(config.layers):
            tensors |= silent_attention(f"blocks.{block}.audio_attn", config.dim)
    return tensors


PLAIN = Form("wan", r"", hears=False)
FORMS = (
    Form(
        "talkverse",
        r"audio_injector\.injector\.\d+\..+",
        hears=True,
        rename=talkverse_name,
        settings=lambda config, found: replace(config, audio_dim=config.dim),
        made=talkverse_made,
        refused={
            r"audio_injector\.injector_adain_layers\..+": "a norm whose scale and shift follow "
            "the sound; the norm before Soul's audio attention is fixed, and stands before the "
            "feed-forward layers, not behind them",
            r"frame_packer\..+": "past frames as packed tokens; here the window remembers them",
            r"trainable_cond_mask\..+": "a mark on noisy, reference and past tokens; here their "
            "timesteps tell them apart",
        },
    ),
    Form(
        "flashhead",
        r"audio_proj\.proj1_vf\.weight",
        hears=True,
        rename=flashhead_name,
        settings=flashhead_settings,
        made=flashhead_made,
        idle={r"audio_emb\..+": "built, and never called by its own forward pass"},
    ),
    Form(
        "packed",
        r"audio_cond_projs\.\d+\.weight",
        hears=True,
        rename=packed_name,
        settings=packed_settings,
        alpha_told=True,
    ),
    Form(
        "abot-world",
        r"act_control_adapter\..+",
        hears=False,
        idle={
            r"act_control_adapter\..+": "adds what keys were pressed, and without them nothing",
        },
    ),
)


def form_of(names: Mapping[str, object]) -> Form:
    """The first form whose sign is among `names`; plain Wan if there is none."""
    return next((f for f in FORMS if any(re.fullmatch(f.sign, name) for name in names)), PLAIN)


def chosen(names: Mapping[str, object], patterns: Mapping[str, str]) -> dict[str, list[str]]:
    """Reason → the names that a pattern takes."""
    taken = {
        reason: [name for name in names if re.fullmatch(pattern, name)]
        for pattern, reason in patterns.items()
    }
    return {reason: found for reason, found in taken.items() if found}

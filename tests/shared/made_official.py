"""Weights and inputs that the official code can be given as well: made of names and integers alone.

No random generator and no file stands between two programs that have to compute with the same
numbers.
"""

import math
import zlib
from pathlib import Path

import torch
from torch import Tensor

from made_checkpoints import Tensors, official_text_names, official_vae_names, save_sharded
from soul.checkpoints.families import Family, dit_shapes, text_shapes, vae_shapes
from soul.checkpoints.names import text_from_official, vae_from_official

LOW = 0xFFFFFFFF  # 32 bits


def spread(name: str, shape: tuple[int, ...]) -> Tensor:
    """In [-1, 1), exact in float32: the finalizer of MurmurHash3 of CRC-32(`name`) + place."""
    word = (torch.arange(torch.Size(shape).numel()) + zlib.crc32(name.encode())) & LOW
    word = (word ^ word >> 16) * 0x85EBCA6B & LOW
    word = (word ^ word >> 13) * 0xC2B2AE35 & LOW
    word ^= word >> 16
    return ((word >> 8).float() / 2**23 - 1).view(shape)


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """The parameter `name`: about 1 in a norm, about 0 elsewhere, less where more is summed."""
    drawn = spread(name, shape)
    if name.endswith("gamma") or (name.endswith("weight") and len(shape) == 1):
        return 1 + 0.3 * drawn
    if name.endswith("bias"):
        return 0.3 * drawn
    summed = torch.Size(shape[1:]).numel()
    return drawn / math.sqrt(summed)


def official_weights(family: Family) -> tuple[Tensors, Tensors, Tensors]:
    """Transformer, VAE and umT5 under the names that they have in the official files."""
    vae, text = vae_shapes(family.vae), text_shapes(family.text)
    words = official_text_names(family.text.layers)
    return (
        {n: weight(n, shape) for n, shape in dit_shapes(family.dit, audio=False).items()},
        {n: weight(n, vae[vae_from_official(n)]) for n in official_vae_names()},
        {n: weight(n, text[text_from_official(n)]) for n in words},
    )


def save_official(folder: Path, family: Family) -> None:
    """In the official repository's layout, without a tokenizer; all in float32."""
    dit, vae, text = official_weights(family)
    save_sharded(dit, folder)
    torch.save(vae, folder / "Wan2.2_VAE.pth")
    torch.save(text, folder / "models_t5_umt5-xxl-enc-bf16.pth")

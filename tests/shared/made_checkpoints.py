"""Tiny checkpoints of the Wan family in every layout that people have, with random weights.

The official names come from short tables written here, from the layers of the public files; what
is converted from them is compared with the names of the modules that will hold it.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from soul.checkpoints.compare import Shape
from soul.checkpoints.families import (
    Family,
    VaeSizes,
    dit_shapes,
    text_shapes,
    vae_shapes,
)
from soul.checkpoints.names import text_from_official, vae_from_official
from soul.model.config import DiTConfig
from soul.model.wan.text import Umt5Sizes

TINY = Family(
    "tiny",
    DiTConfig(
        dim=48,
        ffn_dim=64,
        layers=4,
        heads=2,
        latent_channels=4,
        text_dim=16,
        audio_dim=20,
        freq_dim=8,
    ),
    VaeSizes(encoder_width=4, decoder_width=4, channels=4),
    Umt5Sizes(vocabulary=32, dim=16, head_dim=4, heads=4, ffn_dim=24, layers=2),
)
RESIDUAL = ("residual.0.gamma", "residual.3.gamma")
RESIDUAL_CONVS = ("residual.2", "residual.6")

Tensors = dict[str, Tensor]


def layer(name: str) -> list[str]:
    return [f"{name}.weight", f"{name}.bias"]


def residual(prefix: str, shortcut: bool) -> list[str]:
    names = [f"{prefix}.{norm}" for norm in RESIDUAL]
    names += [name for conv in RESIDUAL_CONVS for name in layer(f"{prefix}.{conv}")]
    return names + (layer(f"{prefix}.shortcut") if shortcut else [])


def side(name: str, direction: str, blocks: int, shortcuts: set[int]) -> Iterator[str]:
    """The encoder's or the decoder's names: four levels, the last without a resampler."""
    yield from layer(f"{name}.conv1")
    for number in range(4):
        level = f"{name}.{direction}.{number}.{direction}"
        for block in range(blocks):
            yield from residual(f"{level}.{block}", block == 0 and number in shortcuts)
        if number < 3:
            yield from layer(f"{level}.{blocks}.resample.1")
            if number in ((1, 2) if direction == "downsamples" else (0, 1)):
                yield from layer(f"{level}.{blocks}.time_conv")
    for block in (0, 2):
        yield from residual(f"{name}.middle.{block}", shortcut=False)
    yield f"{name}.middle.1.norm.gamma"
    for part in ("to_qkv", "proj"):
        yield from layer(f"{name}.middle.1.{part}")
    yield f"{name}.head.0.gamma"
    yield from layer(f"{name}.head.2")


def official_vae_names() -> list[str]:
    """Of `Wan2.2_VAE.pth`: 196 tensors."""
    return [
        *side("encoder", "downsamples", 2, {1, 2}),
        *layer("conv1"),
        *layer("conv2"),
        *side("decoder", "upsamples", 3, {2, 3}),
    ]


def official_text_names(layers: int) -> list[str]:
    """Of `models_t5_umt5-xxl-enc-bf16.pth`; 242 tensors at 24 layers."""
    inner = [f"attn.{c}" for c in "qkvo"]
    inner += ["ffn.gate.0", "ffn.fc1", "ffn.fc2", "norm1", "norm2", "pos_embedding.embedding"]
    return [
        "token_embedding.weight",
        *(f"blocks.{block}.{name}.weight" for block in range(layers) for name in inner),
        "norm.weight",
    ]


DIFFUSERS_BLOCK = {
    "self_attn.": "attn1.",
    "cross_attn.": "attn2.",
    ".q.": ".to_q.",
    ".k.": ".to_k.",
    ".v.": ".to_v.",
    ".o.": ".to_out.0.",
    "norm3.": "norm2.",
    "ffn.0.": "ffn.net.0.proj.",
    "ffn.2.": "ffn.net.2.",
    "modulation": "scale_shift_table",
}
DIFFUSERS_AROUND = {
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "head.head": "proj_out",
    "head.modulation": "scale_shift_table",
}


def diffusers_name(name: str) -> str:
    """diffusers' name of Wan's, by text alone: the way back, written apart from the map."""
    for old, new in (DIFFUSERS_BLOCK if name.startswith("blocks.") else DIFFUSERS_AROUND).items():
        name = name.replace(old, new)
    return name


def drawn(shapes: dict[str, Shape], seed: int) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}


def dit_tensors(seed: int = 1, family: Family = TINY) -> Tensors:
    """The tiny transformer under Wan's names."""
    return drawn(dit_shapes(family.dit, audio=False), seed)


def vae_tensors(seed: int = 2, family: Family = TINY) -> Tensors:
    """The tiny VAE under the official names."""
    shapes = vae_shapes(family.vae)
    return drawn({name: shapes[vae_from_official(name)] for name in official_vae_names()}, seed)


def text_tensors(seed: int = 3, family: Family = TINY) -> Tensors:
    """The tiny text encoder under the official names, in bf16 as the official file is."""
    shapes, names = text_shapes(family.text), official_text_names(family.text.layers)
    found = drawn({name: shapes[text_from_official(name)] for name in names}, seed)
    return {name: value.bfloat16() for name, value in found.items()}


def save_sharded(tensors: Tensors, folder: Path, count: int = 3) -> None:
    """Official shards and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(tensors)
    where: dict[str, str] = {}
    for i in range(count):
        shard = f"diffusion_pytorch_model-{i + 1:05d}-of-{count:05d}.safetensors"
        mine = names[i::count]
        save_file({name: tensors[name].contiguous() for name in mine}, folder / shard)
        where |= dict.fromkeys(mine, shard)
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))


def save_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "spiece.model").write_bytes(b"pieces")
    (folder / "tokenizer_config.json").write_text('{"extra_ids": 300}')


def official(folder: Path, family: Family = TINY) -> Path:
    """As Wan-AI/Wan2.2-TI2V-5B lays it out."""
    save_sharded(dit_tensors(family=family), folder)
    torch.save(vae_tensors(family=family), folder / "Wan2.2_VAE.pth")
    torch.save(text_tensors(family=family), folder / "models_t5_umt5-xxl-enc-bf16.pth")
    save_tokenizer(folder / "google" / "umt5-xxl")
    return folder


def diffusers(folder: Path) -> Path:
    """The same weights as Wan-AI/Wan2.2-TI2V-5B-Diffusers lays them out."""
    named = {diffusers_name(name): value for name, value in dit_tensors().items()}
    save_sharded(named, folder / "transformer", 2)
    renamed_to(vae_tensors(), vae_from_official, folder / "vae" / "diffusion_pytorch_model")
    renamed_to(text_tensors(), text_from_official, folder / "text_encoder" / "model")
    save_tokenizer(folder / "tokenizer")
    return folder


def renamed_to(tensors: Tensors, name_of: Callable[[str], str], path: Path) -> None:
    path.parent.mkdir(parents=True)
    save_file({name_of(k): v for k, v in tensors.items()}, path.with_suffix(".safetensors"))

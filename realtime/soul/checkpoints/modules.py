"""Parts of a converted folder as modules, read tensor by tensor; and Soul's own into the folder.

Their sizes are read off the tensors: `config.json` does not tell them. Memory never holds a part
twice. Knows no training.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count, takewhile
from math import gcd, isqrt
from pathlib import Path

import torch
from torch import Tensor, nn

from soul.checkpoints.compare import Shape, compare
from soul.checkpoints.families import is_audio
from soul.checkpoints.layout import add_part, open_part
from soul.checkpoints.manifest import MANIFEST, Manifest, read_manifest
from soul.checkpoints.parts import TEXT, TOKENIZER, VAE
from soul.checkpoints.sources import CheckpointError, Tensors, held
from soul.model.codebook import Codebook
from soul.model.config import DiTConfig
from soul.model.load import read_config
from soul.model.wan import text
from soul.model.wan.evae import Evae, EvaeConfig
from soul.model.wan.fp8 import narrow_weights, narrowed
from soul.model.wan.text import PromptEncoder, Tokenizer, Umt5Sizes
from soul.model.wan.vae import COLOURS, WAN_2_1, WanVae, WanVaeConfig

EVAE, CODEBOOK = "evae", "codebook"  # the parts that are Soul's own
TIED = "encoder.embed_tokens.weight"  # umT5's copy of `shared.weight`


def open_vae(folder: Path, device: str, dtype: torch.dtype = torch.float32) -> WanVae:
    """The full encoder and decoder."""
    config = vae_config(shapes_of(open_part(folder, VAE)), str(folder))
    with torch.device("meta"):
        vae = WanVae(config)
    load_part(vae, folder, VAE, device, dtype)
    return vae.eval().requires_grad_(False)


def open_evae(folder: Path, device: str, dtype: torch.dtype = torch.float32) -> Evae:
    """The light decoder that `save_evae` wrote."""
    config = evae_config(shapes_of(open_part(folder, EVAE)), str(folder))
    with torch.device("meta"):
        evae = Evae(config)
    load_part(evae, folder, EVAE, device, dtype)
    return evae.eval().requires_grad_(False)


def open_text(
    folder: Path, length: int, device: str, dtype: torch.dtype | None = None
) -> PromptEncoder:
    """Tokenizer and umT5, which writes `length` rows, in `dtype` or that of its file.

    TextError or CheckpointError if they are not whole.
    """
    tensors = open_part(folder, TEXT)
    sizes = text_sizes(tensors, length, folder)
    tokenizer = Tokenizer(folder / TOKENIZER, sizes)
    kind = tensors["shared.weight"].dtype if dtype is None else dtype
    with torch.device("meta"):
        net = text.network(sizes).to(kind)
    where = f"{folder}: {TEXT}"
    values = read(net, tensors, where, device, kind, without=lambda name: name == TIED)
    net.load_state_dict({**values, TIED: values["shared.weight"]}, assign=True)
    return PromptEncoder(tokenizer, net.eval().requires_grad_(False))


def save_evae(evae: Evae, folder: Path) -> Manifest:
    """The folder decodes with it from now on."""
    return save_module(evae, folder, EVAE)


def codebook_shape(folder: Path) -> tuple[int, int]:
    """(centroids, channels): of a folder without a codebook, one that pulls nothing back."""
    if CODEBOOK not in read_manifest(folder / MANIFEST).parts:
        return 1, read_config(folder).vae.channels
    shape = shapes_of(open_part(folder, CODEBOOK)).get("centroids", ())
    if len(shape) != 2:
        raise CheckpointError(f"{folder}: {CODEBOOK} has no centroids [k, channels]")
    return shape[0], shape[1]


def open_codebook(folder: Path, device: str) -> Codebook:
    """Centroids and τ, in float32 wherever the rest is computed: distances lose digits.

    Where the folder has none, one that leaves every latent as it is.
    """
    codebook = Codebook(*codebook_shape(folder)).to(device)
    if CODEBOOK in read_manifest(folder / MANIFEST).parts:
        load_part(codebook, folder, CODEBOOK, device, torch.float32)
    return codebook


def save_codebook(codebook: Codebook, folder: Path) -> Manifest:
    """The folder pulls strays back with it from now on."""
    return save_module(codebook, folder, CODEBOOK)


def save_module(module: nn.Module, folder: Path, part: str) -> Manifest:
    values = {name: value.cpu() for name, value in module.state_dict().items()}
    return add_part(folder, part, {name: held(value) for name, value in values.items()})


def shapes_of(tensors: Tensors) -> dict[str, Shape]:
    return {name: entry.shape for name, entry in tensors.items()}


def vae_config(found: Mapping[str, Shape], where: str) -> WanVaeConfig:
    """The sizes of a full VAE, Wan2.2's or Wan2.1's, whose tensors have these shapes."""
    try:
        channels = found["post_quant_conv.weight"][0]
        encoder, decoder = found["encoder.conv_in.weight"][0], found["decoder.conv_out.weight"][1]
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"{where}: {VAE} is not Wan's: it lacks {error}") from None
    known = {config.channels: config for config in (WanVaeConfig(), WAN_2_1)}
    if channels not in known:
        raise CheckpointError(
            f"{where}: {VAE} is not Wan's: its latents have {channels} channels, "
            f"expected one of {sorted(known)}"
        )
    return replace(known[channels], encoder_width=encoder, decoder_width=decoder)


def evae_config(found: Mapping[str, Shape], where: str) -> EvaeConfig:
    """The sizes of a light decoder whose tensors have these shapes."""

    def listed(name: str) -> list[int]:
        return list(takewhile(lambda number: name.format(number) in found, count()))

    try:
        levels = listed("levels.{}.spread.weight")
        widths = [found[f"levels.{level}.spread.weight"][0] for level in levels]
        widths.append(found["finest.0.conv1.conv.weight"][0])
        width = gcd(*widths)
        return EvaeConfig(
            channels=found["entry.conv.weight"][1],
            width=width,
            times=tuple(each // width for each in widths),
            doubles=tuple(f"levels.{level}.grow.conv.weight" in found for level in levels),
            blocks=len(listed("finest.{}.conv1.conv.weight")),
            patch=isqrt(found["head.conv.weight"][0] // COLOURS),
        )
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"{where}: {EVAE} is no light decoder: {error}") from None


def text_sizes(tensors: Tensors, length: int, folder: Path) -> Umt5Sizes:
    """The text encoder's sizes as its tensors show them."""
    inner = "encoder.block.0.layer"
    try:
        vocabulary, dim = tensors["shared.weight"].shape
        buckets, heads = tensors[f"{inner}.0.SelfAttention.relative_attention_bias.weight"].shape
        across = tensors[f"{inner}.0.SelfAttention.q.weight"].shape[0]
        ffn = tensors[f"{inner}.1.DenseReluDense.wi_0.weight"].shape[0]
    except KeyError as error:
        raise CheckpointError(f"{folder}: {TEXT} is not umT5's: it lacks {error}") from None
    layers = {m[1] for name in tensors if (m := re.match(r"encoder\.block\.(\d+)\.", name))}
    return Umt5Sizes(
        vocabulary, dim, ffn, len(layers), heads, across // heads, buckets, length=length
    )


def load_part(module: nn.Module, folder: Path, part: str, device: str, dtype: torch.dtype) -> None:
    """Fill `module` (on the meta device) with a part of `folder`; see `read`."""
    values = read(module, open_part(folder, part), f"{folder}: {part}", device, dtype)
    module.load_state_dict(values, assign=True)


def read(
    module: nn.Module,
    tensors: Tensors,
    where: str,
    device: str,
    dtype: torch.dtype,
    without: Callable[[str], bool] = lambda name: False,
) -> dict[str, Tensor]:
    """`tensors` for `module`, read one by one; weights that it stores in eight bits become these.

    CheckpointError lists what is missing, unexpected or of another shape.
    """
    eight = narrow_weights(module)
    scales = {name.removesuffix("weight") + "scale" for name in eight}
    wanted = {
        name: tuple(value.shape)
        for name, value in module.state_dict().items()
        if name not in scales and not without(name)
    }
    if difference := compare(wanted, {name: entry.shape for name, entry in tensors.items()}):
        raise CheckpointError(difference.told(where))
    values: dict[str, Tensor] = {}
    for name, entry in tensors.items():
        if name in eight:
            weight, scale = narrowed(entry.read().to(device))
            values[name], values[name.removesuffix("weight") + "scale"] = weight, scale
        else:
            kind = dtype if entry.dtype.is_floating_point else entry.dtype
            values[name] = entry.read().to(device, kind)
    return values


def with_audio(tensors: Tensors, config: DiTConfig) -> Tensors:
    """The transformer's tensors, with layers that hear if it has none.

    As the paper starts them: copies of the block's text attention and its norm. The embedding of
    sound is drawn, always the same.
    """
    if any(is_audio(name) for name in tensors):
        return tensors
    if config.audio_form != "attention":
        raise CheckpointError(f"{config.audio_form} sound has no layers to copy text layers to")
    copies = {
        name.replace(".cross_attn.", ".audio_attn.").replace(".norm3.", ".norm_audio."): entry
        for name, entry in tensors.items()
        if ".cross_attn." in name or ".norm3." in name
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = nn.Linear(config.audio_dim, config.dim)
    embedding = {
        f"audio_embedding.{name}": held(value.detach())
        for name, value in drawn.state_dict().items()
    }
    return {**tensors, **copies, **embedding}

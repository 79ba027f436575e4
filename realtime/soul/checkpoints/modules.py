"""The VAE of a converted folder, and Soul's own parts of it, as modules; and these into the folder.

Their sizes are read off the tensors: `config.json` does not tell them. Knows no training.
"""

from collections.abc import Mapping
from itertools import count, takewhile
from math import gcd, isqrt
from pathlib import Path

import torch
from torch import nn

from soul.checkpoints.compare import Shape
from soul.checkpoints.layout import add_part, load_part, open_part
from soul.checkpoints.manifest import Manifest
from soul.checkpoints.parts import VAE
from soul.checkpoints.sources import CheckpointError, held
from soul.model.codebook import Codebook
from soul.model.config import ConfigError
from soul.model.wan.evae import Evae, EvaeConfig
from soul.model.wan.vae import COLOURS, WanVae, WanVaeConfig

EVAE, CODEBOOK = "evae", "codebook"  # the parts that are Soul's own


def open_vae(folder: Path, device: str, dtype: torch.dtype = torch.float32) -> WanVae:
    """The full encoder and decoder."""
    config = vae_config(shapes_of(folder, VAE), str(folder))
    with torch.device("meta"):
        vae = WanVae(config)
    load_part(vae, folder, VAE, device, dtype)
    return vae.eval().requires_grad_(False)


def open_evae(folder: Path, device: str, dtype: torch.dtype = torch.float32) -> Evae:
    """The light decoder that `save_evae` wrote."""
    config = evae_config(shapes_of(folder, EVAE), str(folder))
    with torch.device("meta"):
        evae = Evae(config)
    load_part(evae, folder, EVAE, device, dtype)
    return evae.eval().requires_grad_(False)


def save_evae(evae: Evae, folder: Path) -> Manifest:
    """The folder decodes with it from now on."""
    return save_module(evae, folder, EVAE)


def open_codebook(folder: Path, device: str) -> Codebook:
    """Centroids and τ, in float32 wherever the rest is computed: distances lose digits."""
    shape = shapes_of(folder, CODEBOOK).get("centroids", ())
    if len(shape) != 2:
        raise CheckpointError(f"{folder}: {CODEBOOK} has no centroids [k, channels]")
    with torch.device("meta"):
        codebook = Codebook(*shape)
    load_part(codebook, folder, CODEBOOK, device, torch.float32)
    return codebook.requires_grad_(False)


def save_codebook(codebook: Codebook, folder: Path) -> Manifest:
    """The folder pulls strays back with it from now on."""
    return save_module(codebook, folder, CODEBOOK)


def save_module(module: nn.Module, folder: Path, part: str) -> Manifest:
    values = {name: value.cpu() for name, value in module.state_dict().items()}
    return add_part(folder, part, {name: held(value) for name, value in values.items()})


def shapes_of(folder: Path, part: str) -> dict[str, Shape]:
    return {name: entry.shape for name, entry in open_part(folder, part).items()}


def vae_config(found: Mapping[str, Shape], where: str) -> WanVaeConfig:
    """The sizes of a full VAE whose tensors have these shapes."""
    try:
        return WanVaeConfig(
            channels=found["post_quant_conv.weight"][0],
            encoder_width=found["encoder.conv_in.weight"][0],
            decoder_width=found["decoder.conv_out.weight"][1],
        )
    except (KeyError, IndexError) as error:
        raise CheckpointError(f"{where}: {VAE} is not Wan2.2's: it lacks {error}") from None
    except ConfigError as error:
        raise CheckpointError(f"{where}: {VAE} is not Wan2.2's: {error}") from None


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

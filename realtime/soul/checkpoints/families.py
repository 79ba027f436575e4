"""The two families whose weights can be converted, and the tensors that each part of them has.

Names and shapes come from the very modules that will hold them, built on the meta device. It
knows sizes; no files.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLWan
from torch import nn

from soul.checkpoints.compare import Shape
from soul.checkpoints.sources import CheckpointError
from soul.model.config import SOUL_5B, DiTConfig
from soul.model.dit import DiT
from soul.model.wan.text import Umt5Sizes, network


@dataclass(frozen=True, slots=True)
class VaeSizes:
    """Of diffusers' `AutoencoderKLWan`; what is not here is as its defaults have it."""

    encoder_width: int = 160
    decoder_width: int = 256
    channels: int = 48
    patch: int | None = 2  # pixels folded into channels, on a side; Wan2.1 folds none
    spatial: int = 16

    @property
    def folded(self) -> int:
        """Channels of a picture as the VAE sees it."""
        return 3 * (self.patch or 1) ** 2


@dataclass(frozen=True, slots=True)
class Family:
    """One family's three parts."""

    name: str
    dit: DiTConfig
    vae: VaeSizes
    text: Umt5Sizes
    fps: int = 24  # pictures a second that it was trained on
    heard_fps: int = 24  # and those of the public checkpoints of its shape that hear
    tells_given: bool = True  # see `SoulConfig`


WAN_5B = Family("wan2.2-ti2v-5b", SOUL_5B.dit, VaeSizes(), Umt5Sizes())
WAN_1_3B = Family(
    "wan2.1-t2v-1.3b",
    DiTConfig(dim=1536, ffn_dim=8960, layers=30, heads=12, latent_channels=16),
    VaeSizes(encoder_width=96, decoder_width=96, channels=16, patch=None, spatial=8),
    Umt5Sizes(),
    fps=16,
    heard_fps=25,
    tells_given=False,
)
FAMILIES = (WAN_5B, WAN_1_3B)


def is_audio(name: str) -> bool:
    """Whether Wan knows nothing of the parameter: the layers that hear."""
    heard = name.startswith(("audio_embedding.", "packed_audio."))
    return heard or ".norm_audio." in name or ".audio_attn." in name


def shapes(module: nn.Module) -> dict[str, Shape]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def dit_shapes(config: DiTConfig, audio: bool) -> dict[str, Shape]:
    """The transformer's, with or without the layers that hear."""
    with torch.device("meta"):
        found = shapes(DiT(config))
    return found if audio else {k: v for k, v in found.items() if not is_audio(k)}


def vae_shapes(sizes: VaeSizes) -> dict[str, Shape]:
    with torch.device("meta"):
        vae: nn.Module = AutoencoderKLWan(**vae_settings(sizes))
    return shapes(vae)


def vae_settings(sizes: VaeSizes) -> dict[str, object]:
    """What diffusers is told."""
    return {
        "base_dim": sizes.encoder_width,
        "decoder_base_dim": sizes.decoder_width,
        "z_dim": sizes.channels,
        "is_residual": sizes.patch is not None,
        "patch_size": sizes.patch,
        "in_channels": sizes.folded,
        "out_channels": sizes.folded,
        "scale_factor_spatial": sizes.spatial,
        "temperal_downsample": [False, True, True],
        "latents_mean": [0.0] * sizes.channels,
        "latents_std": [1.0] * sizes.channels,
    }


def text_shapes(sizes: Umt5Sizes) -> dict[str, Shape]:
    """The encoder's; the tied copy of its embedding is not a tensor of its own."""
    with torch.device("meta"):
        found = shapes(network(sizes))
    return {k: v for k, v in found.items() if k != "encoder.embed_tokens.weight"}


def family_of(found: Mapping[str, Shape], families: tuple[Family, ...], where: str) -> Family:
    """The family of a transformer, by its width and depth; CheckpointError names what it is."""
    numbers = [re.match(r"blocks\.(\d+)\.", name) for name in found]
    layers = 1 + max((int(number[1]) for number in numbers if number), default=-1)
    patch = found.get("patch_embedding.weight", found.get("patch_embedding.bias"))
    if layers == 0 or patch is None:
        first = sorted(found)[0] if found else "nothing"
        raise CheckpointError(
            f"{where} holds no Wan transformer: it has neither blocks.* nor patch_embedding.*, "
            f"but {len(found)} tensors such as {first}; expected one of {told(families)}"
        )
    for family in families:
        if (family.dit.dim, family.dit.layers) == (patch[0], layers):
            return family
    raise CheckpointError(
        f"{where} is a Wan transformer of another family: {patch[0]} wide, {layers} blocks; "
        f"expected one of {told(families)}"
    )


def told(families: tuple[Family, ...]) -> str:
    return ", ".join(f"{f.name} ({f.dit.dim} wide, {f.dit.layers} blocks)" for f in families)

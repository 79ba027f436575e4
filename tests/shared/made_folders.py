"""A tiny converted folder of this project's layout: a VAE of the true channels, and a manifest."""

from pathlib import Path

import torch

from soul.checkpoints.layout import finish, whole, write_part
from soul.checkpoints.manifest import Manifest, Origin
from soul.checkpoints.parts import VAE
from soul.checkpoints.sources import held
from soul.model.wan.vae import WanVae, WanVaeConfig

TINY_VAE = WanVaeConfig(encoder_width=4, decoder_width=4)


def tiny_vae(seed: int = 0) -> WanVae:
    """Random weights; pictures that are neither grey nor all black and white."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return WanVae(TINY_VAE).eval().requires_grad_(False)


def made_folder(folder: Path, vae: WanVae) -> Path:
    """`folder`, with `vae` as its only part."""
    tensors = {name: held(value) for name, value in vae.state_dict().items()}
    with whole(folder) as work:
        files = write_part(work, VAE, tensors)
        parts = {VAE: tuple(file.path for file in files)}
        finish(work, Manifest(folder.name, (Origin("made here"),), files, parts))
    return folder

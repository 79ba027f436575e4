"""Two light decoders side by side: one that the portrait guides, and one that paints alone.

Both learn from the same first weights (as far as they have the same parts), crops, noise and steps,
in one process; then both paint held-out takes from latents that the encoder made of the world's own
renders, so that pose and time are the truth's and only the painting differs. Knows no runs and no
command line.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from soul.model.config import VaeConfig
from soul.model.vae import Decoder, Encoder, from_bytes, to_bytes
from soul.timebase import FRAMES_PER_LATENT
from soul.training.autoencoder import (
    PaintConfig,
    Painter,
    draw_example,
    improve,
    new_light,
    new_optimizer,
)
from soul.training.dataset import Bank
from soul.training.identity import Embedding
from soul.training.life import blinks_of
from soul.training.probe import Probe, reduced
from soul.training.progress import Progress, learning_rate, sheet
from soul.training.table import Quality, TableConfig, quality
from soul.training.takes import Actor, Played, Scene, artist_for, draw_scene, drawn
from soul.training.unguided import new_unguided

GUIDED, UNGUIDED = "guided", "unguided"
PEOPLE = 3  # on the sheet
COLUMNS = 6  # frames of each


@dataclass(frozen=True, slots=True)
class Entry:
    """Who paints, what it costs (None: it is the world itself), and what that is worth."""

    name: str
    macs: int | None  # of one latent's four frames
    quality: Quality


def train_both(
    encoder: Encoder,
    vae: VaeConfig,
    bank: Bank,
    config: PaintConfig,
    folder: Path,
    seed: int,
    recoded: NDArray[np.float16] | None = None,
) -> tuple[dict[str, Painter], int]:
    """Both decoders by name, and for how many steps each has learned; curves in `folder`."""
    device = encoder.mean.device
    painters = {GUIDED: new_light(vae, encoder, seed), UNGUIDED: new_unguided(vae, encoder, seed)}
    optimizers = {
        name: new_optimizer(painter.to(device), config.peak) for name, painter in painters.items()
    }
    progress = Progress("decoders", folder, config.length)
    for step in progress.run():
        rng = np.random.default_rng([seed, step])
        example = draw_example(bank, rng, config.batch, config.crop, recoded).to(device)
        rate, seen = learning_rate(progress.fraction, config.peak), {}
        for name, painter in painters.items():
            torch.manual_seed((seed << 32) + step)  # the same noise for both
            found = improve(painter, optimizers[name], example, config.noise, rate)
            seen[name] = found["picture"]
        progress.add(**seen)
    if progress.pending:
        progress.report()
    progress.plot()
    return {name: painter.eval() for name, painter in painters.items()}, progress.step


def macs(decoder: Decoder, vae: VaeConfig, size: int) -> int:
    """Multiply-accumulates of one latent's four frames of `size` pixels a side.

    Those of convolutions: of the guided decoders' warps, four for each value that is fetched, none
    is counted (less than 2 % for the light one). What is made once a session is left out as well.
    """
    ghost = deepcopy(decoder).to("meta")
    side = size // vae.spatial
    latent = torch.zeros(1, vae.channels, side, side, device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad():
        reference = ghost.refer(torch.zeros(1, 3, size, size, device="meta"), latent)
        state = ghost.first_state(reference)
        with counter:
            ghost(latent, reference, state)
    return int(counter.get_total_flops()) // 2


def painted_by(encoder: Encoder, decoder: Decoder, size: int) -> Actor:
    """Plays a scene as the world does, through the latents of its own renders."""
    device = encoder.mean.device

    @torch.inference_mode()
    def play(scene: Scene) -> Played:
        artist = artist_for(scene, size)
        portrait = from_bytes(artist.portrait()[None]).to(device)
        reference = decoder.refer(portrait, encoder.still(portrait))
        state, made = decoder.first_state(reference), []
        for start in range(0, len(scene.motion), FRAMES_PER_LATENT):
            rows = scene.motion[start : start + FRAMES_PER_LATENT]
            frames = from_bytes(np.stack([artist.frame(row) for row in rows])[None])
            painted = decoder(encoder(frames.to(device)), reference, state)
            state = painted.state
            made.append(to_bytes(painted.pictures, FRAMES_PER_LATENT)[0].cpu())
        return Played(reduced(torch.cat(made).numpy(), scene.size), blinks_of(scene.motion))

    return play


@dataclass(frozen=True)
class Rival:
    """A decoder and the encoder whose latents it reads."""

    encoder: Encoder
    decoder: Decoder


def judge_all(
    rivals: Mapping[str, Rival],
    vae: VaeConfig,
    size: int,
    probe: Probe,
    eye: Embedding,
    config: TableConfig,
) -> list[Entry]:
    """The world's renders, as good as it gets, then each rival: on the same takes."""
    entries = [Entry("the world's renders", None, quality(drawn, probe, eye, config))]
    for name, rival in rivals.items():
        actor = painted_by(rival.encoder, rival.decoder, size)
        cost = macs(rival.decoder, vae, size)
        entries.append(Entry(name, cost, quality(actor, probe, eye, config)))
    return entries


def show(rivals: Mapping[str, Rival], size: int, config: TableConfig, path: Path) -> None:
    """A sheet: for some people portrait and frames of the truth, then of each rival below it."""
    actors = [drawn, *(painted_by(r.encoder, r.decoder, size) for r in rivals.values())]
    frames = config.chunks * FRAMES_PER_LATENT
    at = np.linspace(0, frames - 1, COLUMNS).astype(int)
    rows = []
    for number in range(min(PEOPLE, config.takes)):
        scene, _ = draw_scene(config.seed, number, frames)
        portrait = scene.artist.portrait()
        rows += [[portrait, *actor(scene).pictures[at]] for actor in actors]
    sheet(rows, path)

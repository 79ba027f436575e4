"""The folder of a run as its first stages leave it, made of noise: no voice, no drawing."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from soul.model.config import SOUL_TEST
from soul.training.autoencoder import new_autoencoder, new_full
from soul.training.dataset import ARRAYS, BankConfig, open_bank, settle, shapes
from soul.training.recipe import NOTE, Recipe, encoded_arrays, note_recipe, small


def made_run(folder: Path, size: int = 64, clips: int = 8, frames: int = 16) -> Recipe:
    """Stages bank, autoencoder, full (both untrained) and encode of a tiny model; its recipe."""
    model = replace(SOUL_TEST, image_size=size)
    recipe = small(Recipe(model=model, bank=BankConfig(size=size), processes=1, threads=1))
    recipe = replace(recipe, bank=replace(recipe.bank, clips=clips, frames=frames))
    folder.mkdir(parents=True)
    note_recipe(folder / NOTE, recipe)
    make_noise(folder / "bank", recipe.bank)
    rng = np.random.default_rng(1)
    for name, array in encoded_arrays(
        folder / "latents", open_bank(folder / "bank"), model
    ).items():
        array[:] = rng.standard_normal(array.shape)
        settle(folder / "latents" / f"{name}.npy")
    painter = new_autoencoder(model.vae, 0)
    painters = {"autoencoder": painter, "full": new_full(model.vae, painter.encoder, 0)}
    for stage, made in painters.items():
        (folder / stage).mkdir()
        torch.save({"module": made.state_dict()}, folder / stage / "state.pt")
    return recipe


def make_noise(folder: Path, config: BankConfig) -> None:
    """A bank whose every array is noise in its range; mouths and eyes lie in the middle."""
    rng = np.random.default_rng(0)
    (folder / "done").mkdir(parents=True)
    (folder / "bank.json").write_text(json.dumps(asdict(config)))
    for name, shape in shapes(config).items():
        made = rng.random(shape) * (255 if ARRAYS[name] == "uint8" else 1)
        if name == "boxes":
            made[..., :2], made[..., 2:] = config.size / 4, config.size / 2
        np.save(folder / f"{name}.npy", made.astype(ARRAYS[name]))
    for clip in range(config.clips):
        (folder / "done" / f"{clip}.json").write_text(json.dumps("a person"))

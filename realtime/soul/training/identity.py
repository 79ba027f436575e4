"""An eye for people: a picture becomes a unit vector, near for one person, far for two.

Trained on the drawn world: each person in two scenes, so that background and clothes tell nothing,
with any motion, under blur, noise, shifts and light. It sees the head alone, in the world's
framing, at 64 pixels a side. It needs no voice, judges and never trains anything else, and knows
nothing of the model that it judges.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from soul.measure.identity import Verification, verification
from soul.model.vae import from_bytes
from soul.training.losses import nt_xent
from soul.training.motion import COLUMN, Motion, neutral
from soul.training.probe import SEEN, blurred, looking, relit
from soul.training.world import Artist, Identity, draw_identity

Pictures = NDArray[np.uint8]

SHIPPED = Path(__file__).parent / "weights" / "identity.safetensors"
SIDE = 64  # pixels that the eye looks at
DIMENSIONS = 64
DRAWN = 96  # pixels a side of the pictures that it learns from
_HEAD = (28 / 256, 8 / 256, 200 / 256)  # left, top, side of what it sees, shares of the picture
_SHIFT = 4 / 256  # by which training moves the picture, share of its side
_SCENES = 2  # that each person is drawn in; a pair is one picture of each


class IdentityError(Exception):
    """An embedding's file is missing or is none."""


@dataclass(frozen=True, slots=True)
class IdentityRecipe:
    """How much is drawn and how the eye learns from it."""

    people: int = 400
    frames: int = 4  # of each person in each scene
    held_out: int = 100  # people that only `verify` sees
    steps: int = 1000
    batch: int = 48  # pairs, of as many people
    rate: float = 2e-3
    temperature: float = 0.1


class Embedding(nn.Module):
    """Pictures [B, 3, H, W] in -1 .. 1 of the world's framing → unit vectors [B, 64]."""

    def __init__(self) -> None:
        super().__init__()
        self.look = looking()
        self.tell = nn.Linear(SEEN * (SIDE // 16) ** 2, DIMENSIONS)

    def forward(self, pictures: Tensor) -> Tensor:
        told: Tensor = self.tell(self.look(head(pictures)).flatten(1))
        return functional.normalize(told, dim=1)

    @torch.no_grad()
    def read(self, pictures: Pictures) -> NDArray[np.float32]:
        """uint8 [T, H, W, 3] → unit vectors [T, 64]. Raises ValueError on another shape."""
        if pictures.ndim != 4 or pictures.shape[1] != pictures.shape[2] or pictures.shape[3] != 3:
            raise ValueError(f"pictures are {pictures.shape}, expected [T, side, side, 3]")
        device = next(self.parameters()).device
        return self(from_bytes(pictures).to(device)).cpu().numpy()  # type: ignore[no-any-return]

    def mean(self, pictures: Pictures) -> NDArray[np.float32]:
        """One vector [64] for pictures [T, H, W, 3] of one person: the mean of theirs."""
        return np.asarray(self.read(pictures).mean(0))

    def save(self, path: Path) -> None:
        """Write the weights as safetensors."""
        weights = {name: value.contiguous().cpu() for name, value in self.state_dict().items()}
        save_file(weights, str(path), metadata={"kind": "soul identity", "side": str(SIDE)})


def head(pictures: Tensor) -> Tensor:
    """What the eye sees of pictures [B, 3, H, W]: [B, 3, 64, 64]."""
    left, top, side = (round(share * pictures.shape[-1]) for share in _HEAD)
    cut = pictures[:, :, top : top + side, left : left + side]
    return functional.adaptive_avg_pool2d(cut, SIDE)


def load_identity(path: Path) -> Embedding:
    """An embedding from its file. Raises IdentityError if that is missing or something else."""
    embedding = Embedding()
    try:
        embedding.load_state_dict(load_file(str(path)))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise IdentityError(
            f"{path} could not be read, expected the weights of an identity embedding"
        ) from error
    return embedding.eval()


def train_identity(
    seed: int,
    recipe: IdentityRecipe,
    device: str = "cpu",
    on_step: Callable[[int, float], None] | None = None,
) -> Embedding:
    """Draw people and train an embedding on them; `on_step(step, loss)` hears how it goes."""
    rng = np.random.default_rng([seed, 0])
    torch.manual_seed(seed)
    embedding = Embedding().to(device)
    people = draw_people(rng, recipe.people, recipe.frames)
    optimizer = torch.optim.AdamW(embedding.parameters(), recipe.rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=recipe.steps + 1
    )
    batch = min(recipe.batch, recipe.people)
    for step in range(recipe.steps):
        who = rng.choice(recipe.people, batch, replace=False)
        first, second = (
            embedding(spoilt(rng, from_bytes(people[who, scene, picks]).to(device)))
            for scene, picks in enumerate(rng.integers(0, recipe.frames, (_SCENES, batch)))
        )
        loss = nt_xent(first, second, recipe.temperature)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, float(loss.detach()))
    return embedding.eval()


def verify(embedding: Embedding, seed: int, recipe: IdentityRecipe) -> Verification:
    """How well it tells apart people that training never drew, in other scenes, spoilt alike.

    A same-person pair is two pictures from different scenes; a different-person pair is any two.
    """
    rng = np.random.default_rng([seed, 1])
    torch.manual_seed(seed)
    people = draw_people(rng, recipe.held_out, recipe.frames)
    vectors = torch.stack([_looked_at(embedding, rng, person) for person in people])
    first, second = vectors[:, 0].flatten(0, 1), vectors[:, 1].flatten(0, 1)
    apart = (1.0 - first @ second.T).numpy()
    number = np.repeat(np.arange(recipe.held_out), recipe.frames)
    one = number[:, None] == number[None, :]
    return verification(apart[one], apart[~one])


@torch.no_grad()
def _looked_at(embedding: Embedding, rng: np.random.Generator, person: Pictures) -> Tensor:
    """[scenes, frames, H, W, 3] → vectors [scenes, frames, 64], each scene spoilt anew."""
    device = next(embedding.parameters()).device
    scenes = [embedding(spoilt(rng, from_bytes(scene).to(device))) for scene in person]
    return torch.stack(scenes).cpu()


def draw_people(rng: np.random.Generator, people: int, frames: int) -> Pictures:
    """uint8 [people, 2 scenes, frames, 96, 96, 3]: each person moves at will in both."""
    drawn = np.zeros((people, _SCENES, frames, DRAWN, DRAWN, 3), np.uint8)
    for person in drawn:
        who = draw_identity(rng)
        for scene, clothed in enumerate((who, elsewhere(who, draw_identity(rng)))):
            artist = Artist(clothed, DRAWN)
            for frame, row in enumerate(any_rows(rng, frames)):
                person[scene, frame] = artist.frame(row)
    return drawn


def elsewhere(who: Identity, other: Identity) -> Identity:
    """`who` in the clothes, the light and the place of `other`."""
    return replace(who, scene=other.scene)


def any_rows(rng: np.random.Generator, frames: int) -> Motion:
    """Rows [frames, 17] of any pose and any face, likely or not; most have open eyes."""
    rows = neutral(frames)
    for name in ("yaw", "pitch", "roll", "breath", "gaze_x", "gaze_y", "smile", "mouth_wide"):
        rows[:, COLUMN[name]] = np.clip(rng.normal(0.0, 0.4, frames), -1.0, 1.0)
    for name in ("brow_left", "brow_right"):
        rows[:, COLUMN[name]] = np.clip(rng.normal(0.0, 0.4, frames), -1.0, 1.0)
    opening = np.clip(rng.uniform(-0.5, 0.9, frames), 0.0, 1.0)
    rows[:, COLUMN["mouth_open"]] = opening
    rows[:, COLUMN["jaw"]] = opening * rng.uniform(0.5, 1.0, frames)
    for name in ("teeth", "tongue"):
        rows[:, COLUMN[name]] = rng.uniform(0.0, 1.0, frames)
    lids = np.clip(rng.uniform(-0.2, 4.0, frames), 0.0, 1.0)
    rows[:, COLUMN["eye_left"]] = rows[:, COLUMN["eye_right"]] = lids
    return rows


def spoilt(rng: np.random.Generator, pictures: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] moved, relit, blurred and with noise.

    Shift, blur and noise are drawn once a batch, light once a picture.
    """
    reach = round(_SHIFT * pictures.shape[-1])
    right, down = (int(value) for value in rng.integers(-reach, reach + 1, 2))
    pictures = relit(rng, pictures.roll((down, right), (2, 3)))
    if rng.random() < 0.6:
        pictures = blurred(pictures, rng.uniform(0.3, 1.2))
    return pictures + rng.uniform(0.0, 0.1) * torch.randn_like(pictures)

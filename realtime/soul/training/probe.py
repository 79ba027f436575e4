"""A small eye that reads a generated frame: how far open the mouth is, and the eyes.

Trained on the drawn world, where the truth is known, under blur, noise and shifts, so that it can
be asked about frames that a model made. Two fixed, generous crops of a 256x256 frame hold the
mouth and the eyes wherever the head turns; a convolutional reader looks at each. It knows nothing
of sound and nothing of the model that it judges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from soul.model.vae import from_bytes
from soul.training.motion import COLUMN, Motion
from soul.training.performance import perform
from soul.training.speech import Split
from soul.training.world import Artist, draw_identity

Frames = NDArray[np.uint8]

SHIPPED = Path(__file__).parent / "weights" / "probe.safetensors"
SIZE = 256
_FACE = (48, 72, 208, 232)  # x0, y0, x1, y1: what is kept of a frame for training
_MOUTH = (72, 132, 184, 228)  # world mouths lie in x 82 .. 176, y 144 .. 214
_EYES = (56, 80, 200, 144)  # world eyes lie in x 65 .. 190, y 88 .. 131
_SHIFT = 6  # pixels that training moves the crops by


class ProbeError(Exception):
    """A probe's file is missing or is no probe."""


@dataclass(frozen=True)
class ProbeRecipe:
    """How much is drawn and how a probe learns from it. Times `faces` a person is drawn."""

    faces: int = 300
    frames_a_face: int = 24
    batch: int = 32
    rate: float = 2e-3
    invented: float = 0.3  # share of frames whose mouth or lids are drawn at random


@dataclass(frozen=True)
class Readings:
    """What the probe sees, float32 [T] in 0 .. 1 each: 0 is closed, 1 is wide open."""

    mouth_open: NDArray[np.float32]
    eye_open: NDArray[np.float32]


class Reader(nn.Module):
    """One crop [B, 3, h, w] in -1 .. 1 → one number [B]; h and w multiples of 16."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        sizes = (3, 16, 32, 48, 64)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1)]
            layers += [nn.GroupNorm(8, after), nn.SiLU()]
        self.look = nn.Sequential(*layers)
        self.tell = nn.Sequential(
            nn.Linear(sizes[-1] * (height // 16) * (width // 16), 64), nn.SiLU(), nn.Linear(64, 1)
        )

    def forward(self, crop: Tensor) -> Tensor:
        told: Tensor = self.tell(self.look(crop).flatten(1))
        return told[:, 0]


class Probe(nn.Module):
    """Reads mouth and eyes of frames of the drawn world's framing; see `train_probe`."""

    def __init__(self) -> None:
        super().__init__()
        self.mouth = Reader(_MOUTH[3] - _MOUTH[1], _MOUTH[2] - _MOUTH[0])
        self.eyes = Reader(_EYES[3] - _EYES[1], _EYES[2] - _EYES[0])

    def forward(self, mouth: Tensor, eyes: Tensor) -> Tensor:
        """Crops [B, 3, h, w] in -1 .. 1 → [B, 2]: opening of the mouth, of the eyes."""
        return torch.stack([self.mouth(mouth), self.eyes(eyes)], dim=1)

    @torch.no_grad()
    def read(self, frames: Frames, batch: int = 64) -> Readings:
        """uint8 [T, 256, 256, 3] → readings [T]. Raises ValueError on another shape."""
        if frames.shape[1:] != (SIZE, SIZE, 3):
            raise ValueError(f"frames are {frames.shape}, expected [T, {SIZE}, {SIZE}, 3]")
        told = [torch.zeros(0, 2)]
        for start in range(0, len(frames), batch):
            picture = from_bytes(frames[start : start + batch]).to(next(self.parameters()).device)
            told.append(self(_crop(picture, _MOUTH), _crop(picture, _EYES)).cpu())
        values = torch.cat(told).clamp(0.0, 1.0).numpy()
        return Readings(values[:, 0].copy(), values[:, 1].copy())

    def save(self, path: Path) -> None:
        """Write the weights as safetensors."""
        weights = {name: value.contiguous().cpu() for name, value in self.state_dict().items()}
        save_file(weights, str(path), metadata={"kind": "soul probe", "size": str(SIZE)})


def load_probe(path: Path) -> Probe:
    """A probe from its file. Raises ProbeError if the file is missing or holds something else."""
    probe = Probe()
    try:
        probe.load_state_dict(load_file(str(path)))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ProbeError(f"{path} could not be read, expected the weights of a probe") from error
    return probe.eval()


def train_probe(
    seed: int,
    steps: int,
    recipe: ProbeRecipe | None = None,
    device: str = "cpu",
    on_step: Callable[[int, float], None] | None = None,
) -> Probe:
    """Draw faces and train a probe on them for `steps`; `on_step(step, loss)` hears how it goes."""
    recipe = recipe or ProbeRecipe()
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    probe = Probe().to(device)
    faces, truth = draw_examples(rng, recipe, "train")
    optimizer = torch.optim.AdamW(probe.parameters(), recipe.rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps + 1)
    for step in range(steps):
        picks = rng.integers(0, len(faces), recipe.batch)
        mouth, eyes = _augmented(rng, from_bytes(faces[picks]).to(device))
        wanted = torch.from_numpy(truth[picks]).to(device)
        loss = functional.smooth_l1_loss(probe(mouth, eyes), wanted, beta=0.1)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, float(loss.detach()))
    return probe.eval()


def draw_examples(
    rng: np.random.Generator, recipe: ProbeRecipe, split: Split
) -> tuple[Frames, NDArray[np.float32]]:
    """Faces uint8 [N, 160, 160, 3] cut from frames of many people, and truth float32 [N, 2]."""
    x0, y0, x1, y1 = _FACE
    count = recipe.faces * recipe.frames_a_face
    faces = np.zeros((count, y1 - y0, x1 - x0, 3), np.uint8)
    rows = np.zeros((count, len(COLUMN)), np.float32)
    for face in range(recipe.faces):
        artist = Artist(draw_identity(rng), SIZE)
        start = face * recipe.frames_a_face
        rows[start : start + recipe.frames_a_face] = _draw_rows(rng, recipe, split)
        for index in range(start, start + recipe.frames_a_face):
            faces[index] = artist.frame(rows[index])[y0:y1, x0:x1]
    return faces, truth_of(rows)


def truth_of(motion: Motion) -> NDArray[np.float32]:
    """Opening of the mouth and mean opening of the eyes, [frames, 2]."""
    eyes = 0.5 * (motion[:, COLUMN["eye_left"]] + motion[:, COLUMN["eye_right"]])
    return np.stack([motion[:, COLUMN["mouth_open"]], eyes], axis=1).astype(np.float32)


def _draw_rows(rng: np.random.Generator, recipe: ProbeRecipe, split: Split) -> Motion:
    """Rows of a take, some with an invented mouth or invented lids: blinks are rare in takes."""
    motion = perform(rng, 8.0, split).motion
    rows = motion[rng.integers(0, len(motion), recipe.frames_a_face)].copy()
    mouths = rng.random(len(rows)) < recipe.invented
    opening = rng.random(len(rows)).astype(np.float32)
    rows[mouths, COLUMN["mouth_open"]] = opening[mouths]
    rows[mouths, COLUMN["jaw"]] = (opening * rng.uniform(0.5, 1.0, len(rows)))[mouths]
    rows[mouths, COLUMN["lips_press"]] = 0.0
    lids = rng.random(len(rows)) < recipe.invented
    for name in ("eye_left", "eye_right"):
        rows[lids, COLUMN[name]] = opening[::-1][lids]
    return rows


def _crop(pictures: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    x0, y0, x1, y1 = box
    return pictures[:, :, y0:y1, x0:x1]


def _augmented(rng: np.random.Generator, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror, shift, light, blur and noise, drawn once a batch or once a picture."""
    if rng.random() < 0.5:
        faces = faces.flip(3)
    faces = relit(rng, faces)
    if rng.random() < 0.6:
        faces = blurred(faces, rng.uniform(0.3, 1.6))
    faces = faces + rng.uniform(0.0, 0.08) * torch.randn_like(faces)
    return _shifted_crop(rng, faces, _MOUTH), _shifted_crop(rng, faces, _EYES)


def relit(rng: np.random.Generator, faces: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in -1 .. 1 under another light each, and with another contrast."""
    shape = (len(faces), 3, 1, 1)
    contrast = torch.from_numpy(rng.uniform(0.8, 1.2, shape).astype(np.float32)).to(faces.device)
    light = torch.from_numpy(rng.normal(0.0, 0.08, shape).astype(np.float32)).to(faces.device)
    return faces * contrast + light


def blurred(faces: Tensor, sigma: float) -> Tensor:
    """Pictures [B, 3, H, W] under a Gaussian of `sigma` pixels, cut off at four pixels."""
    offsets = torch.arange(-4, 5, device=faces.device)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    window = (window / window.sum()).expand(3, 1, 1, 9)
    faces = functional.conv2d(faces, window, padding=(0, 4), groups=3)
    return functional.conv2d(faces, window.transpose(2, 3), padding=(4, 0), groups=3)


def _shifted_crop(
    rng: np.random.Generator, faces: Tensor, box: tuple[int, int, int, int]
) -> Tensor:
    x, y = (int(value) for value in rng.integers(-_SHIFT, _SHIFT + 1, 2))
    x0, y0, x1, y1 = box
    inside = (x0 + x - _FACE[0], y0 + y - _FACE[1], x1 + x - _FACE[0], y1 + y - _FACE[1])
    left, top = max(0, inside[0]), max(0, inside[1])
    left, top = min(left, faces.shape[3] - (x1 - x0)), min(top, faces.shape[2] - (y1 - y0))
    return _crop(faces, (left, top, left + x1 - x0, top + y1 - y0))

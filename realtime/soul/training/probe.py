"""A small eye that reads a generated frame: mouth, lids, brows, gaze and how the head is held.

Trained on the drawn world, where the truth is known, under blur, noise and shifts, so that it can
be asked about frames that a model made. Two fixed, generous crops of a 256x256 frame hold the
mouth and the eyes wherever the head turns; a convolutional reader looks at each, and a third at
the whole face, half as large. Larger frames are made that small first. It knows nothing of sound
and nothing of the model that it judges. Whether the eyes look up or down it reads poorly (LOG.md).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from soul.measure.lips import correlation
from soul.model.vae import from_bytes, to_bytes
from soul.training.motion import COLUMN, Motion
from soul.training.performance import perform
from soul.training.speech import Split
from soul.training.world import Artist, draw_identity

Frames = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of a frame

SHIPPED = Path(__file__).parent / "weights" / "probe.safetensors"
SIZE = 256
_FACE = (48, 40, 208, 232)  # what is kept of a frame; the head's reader sees all of it
_MOUTH = (72, 132, 184, 228)  # world mouths lie in x 82 .. 176, y 144 .. 214
_EYES = (56, 64, 200, 144)  # world eyes lie in x 65 .. 190, y 88 .. 131, and brows above them
_SHIFT = 6  # pixels that training moves the crops of mouth and eyes by
_HALF = 2  # the head's reader sees a face this much smaller
VISIBLE = 0.4  # lids further closed than this hide where the eyes look


class ProbeError(Exception):
    """A probe's file is missing or is no probe."""


@dataclass(frozen=True)
class ProbeRecipe:
    """How much is drawn and how a probe learns from it. Times `faces` a person is drawn."""

    faces: int = 300
    frames_a_face: int = 24
    batch: int = 32
    rate: float = 2e-3
    invented: float = 0.3  # share of frames whose mouth (lids, gaze, ...) is drawn at random
    faces_held_out: int = 20  # what it is tested on: takes as they are, nothing invented


@dataclass(frozen=True)
class Readings:
    """What the probe sees, float32 [T] each; directions and signs are those of `motion`."""

    mouth_open: NDArray[np.float32]  # 0 .. 1, closed .. wide open
    mouth_wide: NDArray[np.float32]  # -1 .. 1, rounded .. spread
    smile: NDArray[np.float32]  # -1 .. 1
    eye_open: NDArray[np.float32]  # 0 .. 1, mean of both
    brows: NDArray[np.float32]  # -1 .. 1, mean of both, lowered .. raised
    gaze_x: NDArray[np.float32]  # -1 .. 1
    gaze_y: NDArray[np.float32]  # -1 .. 1
    yaw: NDArray[np.float32]  # -1 .. 1
    pitch: NDArray[np.float32]  # -1 .. 1
    roll: NDArray[np.float32]  # -1 .. 1


READ = tuple(field.name for field in fields(Readings))
_FROM_MOUTH, _FROM_EYES, _FROM_HEAD = READ[:3], READ[3:7], READ[7:]
_MIRRORED = [READ.index(name) for name in ("gaze_x", "yaw", "roll")]  # change sign in a mirror
_GAZE = [READ.index(name) for name in ("gaze_x", "gaze_y")]
_EYE = READ.index("eye_open")
_LOWEST = torch.tensor([0.0 if name.endswith("open") else -1.0 for name in READ])
_WEIGHT = torch.tensor([2.0 if name.endswith("open") else 1.0 for name in READ])


_WIDTHS = (3, 16, 32, 48, 64)
SEEN = _WIDTHS[-1]  # channels that `looking` ends with


def looking() -> nn.Sequential:
    """What an eye begins with: [B, 3, h, w] → [B, SEEN, h/16, w/16]."""
    layers: list[nn.Module] = []
    for before, after in pairwise(_WIDTHS):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1)]
        layers += [nn.GroupNorm(8, after), nn.SiLU()]
    return nn.Sequential(*layers)


class Reader(nn.Module):
    """One crop [B, 3, h, w] in -1 .. 1 → [B, channels]; h and w multiples of 16."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.look = looking()
        self.tell = nn.Sequential(
            nn.Linear(SEEN * (height // 16) * (width // 16), 64),
            nn.SiLU(),
            nn.Linear(64, channels),
        )

    def forward(self, crop: Tensor) -> Tensor:
        told: Tensor = self.tell(self.look(crop).flatten(1))
        return told


class Probe(nn.Module):
    """Reads the faces of frames of the drawn world's framing; see `train_probe`."""

    def __init__(self) -> None:
        super().__init__()
        self.mouth = Reader(_MOUTH[3] - _MOUTH[1], _MOUTH[2] - _MOUTH[0], len(_FROM_MOUTH))
        self.eyes = Reader(_EYES[3] - _EYES[1], _EYES[2] - _EYES[0], len(_FROM_EYES))
        height, width = (_FACE[3] - _FACE[1]) // _HALF, (_FACE[2] - _FACE[0]) // _HALF
        self.head = Reader(height, width, len(_FROM_HEAD))

    def forward(self, mouth: Tensor, eyes: Tensor, face: Tensor) -> Tensor:
        """Crops [B, 3, h, w] in -1 .. 1 → [B, 10] in the order of READ."""
        small = functional.avg_pool2d(face, _HALF)
        return torch.cat([self.mouth(mouth), self.eyes(eyes), self.head(small)], dim=1)

    def read(self, frames: Frames) -> Readings:
        """uint8 [T, s, s, 3] → readings [T]. Raises ValueError on another shape or s < 256."""
        x0, y0, x1, y1 = _FACE
        seen = reduced(frames, SIZE)
        return Readings(*self.read_faces(seen[:, y0:y1, x0:x1]).T.copy())

    @torch.no_grad()
    def read_faces(self, faces: Frames, batch: int = 64) -> NDArray[np.float32]:
        """Faces as `draw_examples` cuts them, uint8 [T, 192, 160, 3] → [T, 10]."""
        device = next(self.parameters()).device
        told = [torch.zeros(0, len(READ))]
        for start in range(0, len(faces), batch):
            face = from_bytes(faces[start : start + batch]).to(device)
            told.append(self(_crop(face, _MOUTH), _crop(face, _EYES), face).cpu())
        values: NDArray[np.float32] = torch.cat(told).clamp(_LOWEST, torch.ones(1)).numpy()
        return values

    def save(self, path: Path) -> None:
        """Write the weights as safetensors."""
        weights = {name: value.contiguous().cpu() for name, value in self.state_dict().items()}
        save_file(weights, str(path), metadata={"kind": "soul probe", "size": str(SIZE)})


def reduced(frames: Frames, side: int, batch: int = 64) -> Frames:
    """Square pictures uint8 [T, s, s, 3] → [T, side, side, 3], each pixel the mean of its area.

    Those of that size are returned as they are. Raises ValueError on another shape or s < side: a
    picture that is made larger has nothing more to read.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or not side <= frames.shape[1] == frames.shape[2]:
        raise ValueError(
            f"frames are {frames.shape}, expected [T, {side}, {side}, 3] or larger squares"
        )
    if frames.shape[1] == side:
        return frames
    made = np.empty((len(frames), side, side, 3), np.uint8)
    for start in range(0, len(frames), batch):
        seen = from_bytes(frames[start : start + batch])
        made[start : start + batch] = to_bytes(functional.adaptive_avg_pool2d(seen, side), 1)[:, 0]
    return made


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
        wanted = torch.from_numpy(truth[picks]).to(device)
        seen, wanted = _augmented(rng, from_bytes(faces[picks]).to(device), wanted)
        errors = functional.smooth_l1_loss(probe(*seen), wanted, beta=0.1, reduction="none")
        loss = (errors * _worth(wanted)).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, float(loss.detach()))
    return probe.eval()


def held_out_correlations(
    probe: Probe, seed: int, recipe: ProbeRecipe | None = None
) -> dict[str, float]:
    """How well each channel is read from faces, voices and sentences that training never saw.

    Over the frames of all people at once; where the eyes look counts only in eyes that are open.
    """
    recipe = recipe or ProbeRecipe()
    recipe = replace(recipe, faces=recipe.faces_held_out, invented=0.0)
    faces, truth = draw_examples(np.random.default_rng([seed, 1]), recipe, "held_out")
    seen, open_ = probe.read_faces(faces), truth[:, _EYE] > VISIBLE
    found = {}
    for index, name in enumerate(READ):
        used = open_ if index in _GAZE else np.ones_like(open_)
        found[name] = correlation(truth[used, index], seen[used, index])
    return found


def draw_examples(
    rng: np.random.Generator, recipe: ProbeRecipe, split: Split
) -> tuple[Frames, NDArray[np.float32]]:
    """Faces uint8 [N, 192, 160, 3] cut from frames of many people, and truth float32 [N, 10]."""
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
    """What a perfect probe reads: [frames, 10] in the order of READ."""
    return np.stack([_channel(motion, name) for name in READ], axis=1)


def readings_of(motion: Motion) -> Readings:
    """`truth_of` a motion, by name."""
    return Readings(*truth_of(motion).T.copy())


def _channel(motion: Motion, name: str) -> NDArray[np.float32]:
    pair = {"eye_open": ("eye_left", "eye_right"), "brows": ("brow_left", "brow_right")}
    columns = [COLUMN[one] for one in pair.get(name, (name,))]
    return np.asarray(motion[:, columns].mean(1), np.float32)


def _draw_rows(rng: np.random.Generator, recipe: ProbeRecipe, split: Split) -> Motion:
    """Rows of a take, some of them partly invented: blinks and side glances are rare in takes."""
    motion = perform(rng, 8.0, split).motion
    rows = motion[rng.integers(0, len(motion), recipe.frames_a_face)].copy()
    _invent_mouth(rng, rows, recipe.invented)
    for names, low, high in (
        (("smile",), -1.0, 1.0),
        (("gaze_x",), -0.9, 0.9),
        (("gaze_y",), -0.9, 0.9),
        (("brow_left", "brow_right"), -1.0, 1.0),
        (("eye_left", "eye_right"), 0.0, 1.0),
        (("yaw",), -0.7, 0.7),
        (("pitch",), -0.7, 0.7),
        (("roll",), -0.7, 0.7),
    ):
        there = rng.random(len(rows)) < recipe.invented
        drawn = rng.uniform(low, high, len(rows))
        for name in names:
            rows[there, COLUMN[name]] = drawn[there]
    return rows


def _invent_mouth(rng: np.random.Generator, rows: Motion, share: float) -> None:
    there = rng.random(len(rows)) < share
    opening = rng.random(len(rows))
    drawn = {
        "mouth_open": opening,
        "mouth_wide": rng.uniform(-1.0, 1.0, len(rows)),
        "jaw": opening * rng.uniform(0.5, 1.0, len(rows)),
        "lips_press": np.zeros(len(rows)),
    }
    for name, values in drawn.items():
        rows[there, COLUMN[name]] = values[there]


def _worth(wanted: Tensor) -> Tensor:
    """What an error counts, [B, 10]: where the eyes look cannot be seen behind closed lids."""
    worth = _WEIGHT.to(wanted.device).repeat(len(wanted), 1)
    worth[:, _GAZE] *= (wanted[:, _EYE, None] > VISIBLE).float()
    return worth


def _crop(faces: Tensor, box: Box, x: int = 0, y: int = 0) -> Tensor:
    """What of `faces` lies in a frame's `box`, moved by (x, y) but kept inside."""
    width, height = box[2] - box[0], box[3] - box[1]
    left = min(max(0, box[0] + x - _FACE[0]), faces.shape[3] - width)
    top = min(max(0, box[1] + y - _FACE[1]), faces.shape[2] - height)
    return faces[:, :, top : top + height, left : left + width]


def _augmented(
    rng: np.random.Generator, faces: Tensor, truth: Tensor
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Mirror, shift, light, blur and noise, drawn once a batch or once a picture.

    Returns the crops of mouth, eyes and face, and what is true of them.
    """
    if rng.random() < 0.5:
        faces, truth = faces.flip(3), truth.clone()
        truth[:, _MIRRORED] *= -1.0
    faces = relit(rng, faces)
    if rng.random() < 0.6:
        faces = blurred(faces, rng.uniform(0.3, 1.6))
    faces = faces + rng.uniform(0.0, 0.08) * torch.randn_like(faces)
    mouth, eyes = (
        _crop(faces, box, *rng.integers(-_SHIFT, _SHIFT + 1, 2).tolist()) for box in (_MOUTH, _EYES)
    )
    return (mouth, eyes, faces), truth


def relit(rng: np.random.Generator, faces: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in -1 .. 1 under another light each, and with another contrast."""
    shape = (len(faces), 3, 1, 1)
    contrast = torch.from_numpy(rng.uniform(0.8, 1.2, shape).astype(np.float32)).to(faces.device)
    light = torch.from_numpy(rng.normal(0.0, 0.08, shape).astype(np.float32)).to(faces.device)
    return faces * contrast + light


def blurred(faces: Tensor, sigma: float) -> Tensor:
    """Pictures [B, 3, H, W] under a Gaussian of `sigma` pixels, brighter at no edge."""
    height, width = faces.shape[2:]
    down, across = (_window(size, sigma).to(faces.device) for size in (height, width))
    return down @ faces @ across.T


def _window(size: int, sigma: float) -> Tensor:
    """A Gaussian as a matrix [size, size]: on a CPU several times faster than a convolution."""
    at = torch.arange(size, dtype=torch.float32)
    weights = torch.exp(-((at[:, None] - at) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdim=True)

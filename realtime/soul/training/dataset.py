"""Clips drawn from the world, with their sound and ground truth, in memory-mapped arrays.

A bank is a folder; it is drawn once, by several processes, and resumed clip by clip. Nothing here
trains. Everything about clip n follows from the bank's seed and n, so any machine draws the same.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from soul.timebase import FRAMES_PER_LATENT, SAMPLES_PER_FRAME, exact_div
from soul.training.augment import augment
from soul.training.fresh import each_alone
from soul.training.motion import CHANNELS, neutral
from soul.training.performance import Performance, perform
from soul.training.speech import Pcm
from soul.training.world import Artist, draw_identity, flow, regions

Split = Literal["train", "held_out"]
FLOW_STRIDE = 8  # ground-truth flow is kept at an eighth of the pictures' size


@dataclass(frozen=True, slots=True)
class BankConfig:
    """What a bank holds."""

    split: Split = "train"
    clips: int = 960
    frames: int = 96  # a clip: 24 latents, 3.84 s
    size: int = 256
    seed: int = 2

    @property
    def latents(self) -> int:
        return exact_div(self.frames, FRAMES_PER_LATENT)

    @property
    def samples(self) -> int:
        return self.frames * SAMPLES_PER_FRAME

    @property
    def flow_size(self) -> int:
        return exact_div(self.size, FLOW_STRIDE)


REFERENCES = 4  # stills of a clip that a rollout may start from: the portrait, and three frames
MICROPHONES = 4  # a clip is heard through: the mouth is the voice's, whatever else is heard
ARRAYS: dict[str, str] = {
    "portraits": "uint8",
    "frames": "uint8",
    "flow": "float16",
    "motion": "float32",
    "boxes": "float32",
    "pcm": "float16",
    "silent": "bool",
    "listening": "bool",
}


def shapes(config: BankConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every array: frames [clips, frames, H, W, 3], boxes [clips, frames, 3, 4], ..."""
    n, t, s = config.clips, config.frames, config.size
    return {
        "portraits": (n, s, s, 3),
        "frames": (n, t, s, s, 3),
        "flow": (n, t, config.flow_size, config.flow_size, 2),
        "motion": (n, t, len(CHANNELS)),
        "boxes": (n, t, 3, 4),
        "pcm": (n, MICROPHONES, config.samples),
        "silent": (n, t),
        "listening": (n, t),
    }


@dataclass(frozen=True)
class Bank:
    """An open bank: arrays as described in `shapes`, prompts one a clip."""

    config: BankConfig
    portraits: NDArray[np.uint8]
    frames: NDArray[np.uint8]
    flow: NDArray[np.float16]
    motion: NDArray[np.float32]
    boxes: NDArray[np.float32]  # mouth, left eye, right eye: x0, y0, x1, y1 in pixels
    pcm: NDArray[np.float16]
    silent: NDArray[np.bool_]
    listening: NDArray[np.bool_]
    prompts: tuple[str, ...]

    @cached_property
    def spread(self) -> NDArray[np.float32]:
        """How far each of the 17 channels of motion strays from its mean: [17]."""
        return np.asarray(self.motion.std((0, 1)).clip(0.05), np.float32)


def rng_of(config: BankConfig, clip: int) -> np.random.Generator:
    """The generator that everything of one clip is drawn from."""
    return np.random.default_rng([config.seed, clip, 0 if config.split == "train" else 1])


def draw_clip(folder: Path, config: BankConfig, clip: int) -> str:
    """Draw one clip into the bank's arrays; returns its prompt."""
    rng = rng_of(config, clip)
    identity = draw_identity(rng)
    performance = perform(rng, config.frames / 25, config.split)
    artist = Artist(identity, config.size)
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in ARRAYS}
    arrays["portraits"][clip] = artist.frame(neutral(1)[0])
    arrays["motion"][clip] = performance.motion[: config.frames]
    arrays["pcm"][clip] = [
        pcm[: config.samples]
        for pcm in microphones(np.random.default_rng([config.seed, clip, 2]), performance)
    ]
    arrays["silent"][clip] = performance.silent[: config.frames]
    arrays["listening"][clip] = performance.listening[: config.frames]
    for t, row in enumerate(performance.motion[: config.frames]):
        arrays["frames"][clip, t] = artist.frame(row)
        arrays["flow"][clip, t] = flow(identity, row, config.flow_size) * FLOW_STRIDE
        boxes = regions(identity, row, config.size)
        arrays["boxes"][clip, t] = (boxes.mouth, boxes.eye_left, boxes.eye_right)
    return performance.prompt


def microphones(rng: np.random.Generator, take: Performance) -> list[Pcm]:
    """The same speech through MICROPHONES chains of room, device and gain, the take's own first."""
    return [take.pcm, *(augment(rng, take.spoken) for _ in range(MICROPHONES - 1))]


def finish_clip(folder: Path, config: BankConfig, clip: int) -> None:
    """Draw one clip; a small file marks it as done."""
    (folder / "done" / f"{clip}.json").write_text(json.dumps(draw_clip(folder, config, clip)))


def make_bank(folder: Path, config: BankConfig, processes: int) -> Bank:
    """Draw what is missing of the bank in `folder` and open it; each clip in a fresh process."""
    note = folder / "bank.json"
    (folder / "done").mkdir(parents=True, exist_ok=True)
    wanted = json.dumps(asdict(config))
    if note.exists() and note.read_text() != wanted:
        raise ValueError(f"{folder} holds the bank {note.read_text()}, expected {wanted}")
    if not note.exists():
        for name, shape in shapes(config).items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", ARRAYS[name], shape)
        note.write_text(wanted)
    missing = [c for c in range(config.clips) if not (folder / "done" / f"{c}.json").exists()]
    for _ in each_alone(partial(finish_clip, folder, config), missing, processes, __name__):
        pass
    return open_bank(folder)


def open_bank(folder: Path) -> Bank:
    """The bank in `folder`, its arrays memory-mapped."""
    config = BankConfig(**json.loads((folder / "bank.json").read_text()))
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    prompts = tuple(
        json.loads((folder / "done" / f"{clip}.json").read_text()) for clip in range(config.clips)
    )
    return Bank(config, prompts=prompts, **arrays)


def references(bank: Bank, clip: int) -> NDArray[np.uint8]:
    """The stills of a clip that a rollout may start from: [REFERENCES, H, W, 3]."""
    chosen = np.random.default_rng([bank.config.seed, clip]).integers(
        bank.config.frames, size=REFERENCES - 1
    )
    return np.concatenate((bank.portraits[clip][None], bank.frames[clip, chosen]))


def fresh_array(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A float16 array that gets the name `path` when `settle` says that it is whole."""
    return np.lib.format.open_memmap(path.with_suffix(".new"), "w+", "float16", shape)


def settle(path: Path) -> None:
    path.with_suffix(".new").replace(path)

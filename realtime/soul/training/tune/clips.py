"""Encoded clips on disk, as the stages read them; and the words of their prompts.

One folder, arrays of equal clips: `pivotal`, `latents` and `tokens` as `Latents` has them, and in
`words.bin` the rows of all prompts one behind another. It knows neither videos nor encoders.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soul.model.config import SoulConfig
from soul.model.cues import CUES
from soul.timebase import FRAMES_PER_LATENT
from soul.training.diffusion import Latents
from soul.training.tune.settings import EncodeConfig, TuneError

NOTE, WORDS = "encoded.json", "words.bin"
ARRAYS = ("pivotal", "latents", "tokens")
REGIONS = 3  # mouth and eyes: `Latents` has a box for each, and here nobody looked for them


@dataclass(frozen=True, slots=True)
class Encoded:
    """What lies in a folder of encoded clips."""

    model: str  # whose VAE and words they are
    height: int
    width: int
    config: EncodeConfig
    keys: tuple[str, ...]  # of the clips, as the shards name them
    prompts: tuple[str, ...]  # of the clips
    words: tuple[tuple[str, int, int], ...]  # each prompt, its first row, and how many it has

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def read_note(folder: Path) -> Encoded:
    """What lies in `folder`; TuneError if it holds no encoded clips, or not all of them yet."""
    path = folder / NOTE
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Encoded(
            told["model"],
            told["height"],
            told["width"],
            EncodeConfig(**told["config"]),
            tuple(told["keys"]),
            tuple(told["prompts"]),
            tuple((prompt, first, rows) for prompt, first, rows in told["words"]),
        )
    except FileNotFoundError:
        raise TuneError(
            f"{folder} holds no encoded clips; expected stage encode to have been run to its end"
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise TuneError(f"{path} does not tell of encoded clips: {error!r}") from None


class Words(nn.Module):
    """Prompts → their encoded words, without weights: what a text encoder is to `Soul`."""

    def __init__(self, words: dict[str, NDArray[np.float16]], length: int) -> None:
        """`words` [rows, text_dim] of each prompt; zeros fill up to `length` rows, as in Wan."""
        super().__init__()
        self.known = words
        self.length = length

    def forward(self, prompts: Sequence[str], device: torch.device) -> Tensor:
        """[B, length, text_dim] float32; TuneError for a prompt that was not encoded."""
        if unknown := [p for p in prompts if p not in self.known]:
            raise TuneError(f"the prompt {unknown[0]!r} was not encoded with the clips")
        found = [torch.from_numpy(np.array(self.known[p])) for p in prompts]
        rows = [nn.functional.pad(f.float(), (0, 0, 0, self.length - len(f))) for f in found]
        return torch.stack(rows).to(device)


@dataclass(frozen=True, slots=True)
class Material:
    """What a run trains on."""

    latents: Latents
    words: Words


def open_encoded(folder: Path, model: str, config: SoulConfig) -> Material:
    """The clips of `folder`; TuneError if they are another model's, or of another size."""
    note = read_note(folder)
    if note.model != model:
        raise TuneError(
            f"{folder} was encoded for the model {note.model!r}, not for {model!r}; "
            "expected the same: name another folder"
        )
    if (note.height, note.width) != (config.height, config.width):
        raise TuneError(
            f"{folder} holds clips of {note.height} x {note.width}, and this run makes pictures of "
            f"{config.height} x {config.width}; expected the same"
        )
    arrays = {name: opened(folder / f"{name}.npy") for name in ARRAYS}
    check_shapes(arrays, note, config, folder)
    words = rows_of(folder / WORDS, sum(rows for _, _, rows in note.words), config.dit.text_dim)
    clips, n = arrays["latents"].shape[:2]
    latents = Latents(
        arrays["pivotal"],
        arrays["latents"],
        arrays["tokens"][:, None],
        nothing((clips, n, FRAMES_PER_LATENT, CUES)),
        nothing((clips, n, REGIONS, 4)),
        note.prompts,
        reworded=False,
    )
    known = {prompt: words[first : first + rows] for prompt, first, rows in note.words}
    return Material(latents, Words(known, config.dit.text_len))


def nothing(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that take no memory."""
    return np.broadcast_to(np.float32(0), shape)


def opened(path: Path) -> NDArray[np.float16]:
    """An array that stays on disk; TuneError if it is not whole."""
    try:
        found: NDArray[np.float16] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise TuneError(f"{path} is no whole array: {error}") from None
    return found


def rows_of(path: Path, rows: int, dim: int) -> NDArray[np.float16]:
    """[rows, dim] that stay on disk; TuneError if the file is not as long as that."""
    expected = rows * dim * np.dtype(np.float16).itemsize
    found = path.stat().st_size if path.is_file() else 0
    if found != expected:
        raise TuneError(f"{path} has {found} bytes, expected {expected}: it was cut off or changed")
    return np.memmap(path, np.float16, "r", shape=(rows, dim))


def check_shapes(
    arrays: dict[str, NDArray[np.float16]], note: Encoded, config: SoulConfig, folder: Path
) -> None:
    """TuneError names the first array that does not go with the model."""
    clips, cell = len(note.keys), (config.vae.channels, *config.cells)
    n = note.config.latents - 1  # the first frame's own latent is a reference
    wanted = {
        "pivotal": (clips, note.config.references, *cell),
        "latents": (clips, n, *cell),
        "tokens": (clips, n, arrays["tokens"].shape[2], config.dit.audio_dim),
    }
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise TuneError(
                f"{folder / name}.npy has shape {arrays[name].shape}, and the model expects {shape}"
            )

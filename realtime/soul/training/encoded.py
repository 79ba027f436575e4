"""Clips as latents on disk: encoded once by the full VAE, read by whatever trains on latents.

A clip is one .npy file, float16 [48, n, h, w]; those of one shard or video lie in a folder of its
name, with a mark once they are all there. And the full decoder, as what another learns from. Knows
how to drive the VAE, and nothing of videos.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soul.model.vae import from_bytes
from soul.training.progress import Length, Progress

if TYPE_CHECKING:
    from soul.model.wan.vae import WanVae

Pictures: TypeAlias = NDArray[np.uint8]  # [1 + 4 (n − 1), H, W, 3], RGB
Latents: TypeAlias = NDArray[np.float16]  # [48, n, h, w]
Paint: TypeAlias = Callable[[Tensor], Tensor]  # the next latents of a stream → their pictures
Teacher: TypeAlias = Callable[[], Paint]  # opens a stream

LATENTS = "latents"  # in a run's folder
FIRST, REST = "pivotal.npy", "latents.npy"  # of clips that a DiT is trained on
DONE = "done"
AT_ONCE = 8  # frames through the encoder: what its memory hangs from


class Clips(Protocol):
    """Latents of clips [48, n, h, w], in memory or on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: int, /) -> Latents: ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """Clips on disk, each opened when it is asked for."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, which: int, /) -> Latents:
        try:
            found: Latents = np.load(self.paths[which], mmap_mode="r")
        except (ValueError, EOFError) as error:
            raise ValueError(f"{self.paths[which]} is no whole clip of latents: {error}") from error
        return found


@dataclass(frozen=True, slots=True)
class Banked:
    """Equal clips in two arrays, as a DiT is trained on them: their first latents, and the rest."""

    first: NDArray[np.float16]  # [clips, references, 48, h, w], a clip's own first latent first
    rest: NDArray[np.float16]  # [clips, n − 1, 48, h, w]

    def __len__(self) -> int:
        return len(self.rest)

    def __getitem__(self, which: int, /) -> Latents:
        return np.concatenate((self.first[which, :1], self.rest[which])).swapaxes(0, 1)


def open_encoded(folder: Path) -> Encoded | Banked:
    """What `encode_all` left in `folder`, or soul tune's stage `encode`. ValueError if nothing."""
    arrays = folder / FIRST, folder / REST
    if all(path.is_file() for path in arrays):
        try:
            return Banked(*(np.load(path, mmap_mode="r") for path in arrays))
        except (ValueError, EOFError) as error:
            raise ValueError(f"{folder} holds no whole arrays of latents: {error}") from error
    paths = tuple(sorted((folder / LATENTS).rglob("*.npy")))
    if not paths:
        raise ValueError(f"{folder / LATENTS} holds no latents; expected those of soul fit encode")
    return Encoded(paths)


def encode_all(
    sources: Sequence[str],
    read: Callable[[str], Iterable[tuple[str, Pictures]]],
    encode: Callable[[Pictures], Latents],
    run: Path,
) -> int:
    """Encode the clips of all `sources` that are not there yet; how many clips there are then.

    `read` gives a source's clips by name. What was begun goes on, clip by clip.
    """
    folder = run / LATENTS
    left = [source for source in sources if not (folder / source / DONE).exists()]
    begun = len(sources) - len(left)
    progress = Progress("encode", run / "encode", Length(len(sources)), every=1, step=begun)
    for step in progress.run():
        place = folder / left[step - begun]
        place.mkdir(parents=True, exist_ok=True)
        count = 0
        for name, pictures in read(left[step - begun]):
            path = place / f"{name}.npy"
            if not path.exists():
                write(path, encode(pictures))
            count += 1
        (place / DONE).touch()
        progress.add(clips=count)
    return len(list(folder.rglob("*.npy")))


def write(path: Path, latents: Latents) -> None:
    """One clip, whole or not at all."""
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("wb") as file:
            np.save(file, latents)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


@torch.inference_mode()
def encoded(vae: "WanVae", pictures: Pictures) -> Latents:
    """One clip's latents; a few frames go through the encoder at a time."""
    device, state, coded = vae.quant_conv.weight.device, vae.open_encoder(), []
    for start in range(0, len(pictures), AT_ONCE):
        frames = from_bytes(pictures[start : start + AT_ONCE]).unsqueeze(0)
        latents, state = vae.encode_next(frames.to(device), state)
        coded.append(latents.cpu())
    found: Latents = torch.cat(coded, 1)[0].movedim(1, 0).half().numpy()
    return found


def full_decoder(vae: "WanVae") -> Teacher:
    """The full decoder, stream by stream."""

    def opened() -> Paint:
        state = vae.open_decoder()

        def paint(latents: Tensor) -> Tensor:
            nonlocal state
            pictures, state = vae.decode_next(latents.movedim(2, 1), state)
            return pictures.movedim(2, 1)

        return paint

    return opened

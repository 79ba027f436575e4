"""Clips that are to be encoded, as pictures: those of training shards, or pieces of whole videos.

All have 1 + 4n frames, as the VAE wants them, and sides that tokens fill. Knows no VAE.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from soul.data.engine import find_videos
from soul.data.errors import SourceError
from soul.data.source import Pictures, thumbnails
from soul.timebase import FRAMES_PER_LATENT

FILM, SHARD = ".mp4", ".tar"


@dataclass(frozen=True, slots=True)
class FilmConfig:
    """What a clip's pictures shall be like."""

    side: int = 704  # pixels of the shorter side, at most
    multiple: int = 32  # pixels that both sides are a multiple of: a token of the transformer
    shortest: int = 97  # frames: 25 latents, what 4 s give
    longest: int = 109  # frames: the paper's 28 latents

    def __post_init__(self) -> None:
        if self.side < self.multiple:
            raise ValueError(f"side is {self.side} pixels, expected at least {self.multiple}")
        for name, frames in (("shortest", self.shortest), ("longest", self.longest)):
            if frames < 1 or frames % FRAMES_PER_LATENT != 1:
                raise ValueError(f"{name} is {frames} frames, expected 1, 5, 9, 13, …")
        if self.shortest > self.longest:
            raise ValueError(f"shortest {self.shortest} is above longest {self.longest}")


def find_sources(folder: Path, out: Path) -> list[str]:
    """Shards below `folder`, or videos if there are none, by their paths in it; none from `out`.

    StopError if there is neither.
    """
    shards = sorted(path.relative_to(folder).as_posix() for path in folder.rglob(f"*{SHARD}"))
    return shards or list(find_videos(folder, out)[0])


def clips(folder: Path, source: str, config: FilmConfig) -> Iterator[tuple[str, Pictures]]:
    """(name, pictures [1 + 4n, H, W, 3]) of every clip in a shard or video that is long enough.

    Raises SourceError at what cannot be read.
    """
    path = folder / source
    if path.suffix != SHARD:
        for number, pictures in enumerate(cut(path, config)):
            yield f"{number:04d}", pictures
        return
    with TemporaryDirectory() as place:
        for film in unpacked(path, Path(place)):
            for pictures in islice(cut(film, config), 1):
                yield film.stem, pictures


def unpacked(shard: Path, place: Path) -> Iterator[Path]:
    """The films of a shard, one after another as a file in `place`."""
    try:
        with tarfile.open(shard) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.name.endswith(FILM) else None
                if content is not None:
                    film = place / Path(member.name).name
                    film.write_bytes(content.read())
                    yield film
                    film.unlink()
    except (OSError, tarfile.TarError, EOFError) as error:
        raise SourceError(f"{shard.name!r} is no whole shard ({error})") from error


def cut(path: Path, config: FilmConfig) -> Iterator[Pictures]:
    """A video as clips without a gap between; a rest that is too short is dropped."""
    shown = (cropped(picture, config.multiple) for picture in thumbnails(path, config.side))
    while held := list(islice(shown, config.longest)):
        frames = len(held) - (len(held) - 1) % FRAMES_PER_LATENT
        if frames >= config.shortest:
            yield np.stack(held[:frames])


def cropped(picture: Pictures, multiple: int) -> Pictures:
    """The middle of [H, W, 3] whose sides are multiples; SourceError if there is none."""
    height, width = (side // multiple * multiple for side in picture.shape[:2])
    if not height or not width:
        raise SourceError(
            f"pictures of {picture.shape[1]} x {picture.shape[0]} pixels are too small, expected "
            f"at least {multiple} a side"
        )
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]

"""A codebook of the true size, 40,000 x 48, from encoded clips of any number.

Cells are drawn from the clips into one file, and k-means goes over that file block by block:
memory holds a block, its products, the centroids and a distance a cell. It may stop after any block
and goes on from what was kept to the very same centroids. τ is measured on cells that k-means did
not see. Knows no VAE and no model folder.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from soul.model.codebook import Codebook
from soul.training.centroids import Features, Lloyd, begin, codebook_of, gather, settle, taken
from soul.training.encoded import Clips
from soul.training.notes import note
from soul.training.progress import Length, Progress

NOTE, STATE = "codebook.json", "state.pt"
FITTED, HELD_OUT = "cells.npy", "held_out.npy"
FREE = ("rounds", "quantile", "save_every")  # may change within a run


@dataclass(frozen=True, slots=True)
class CodebookConfig:
    """How centroids are fitted."""

    centroids: int = 40_000  # the paper's
    each: int = 256  # cells a centroid is fitted to: as many as faiss takes at most
    held_out: int = 200_000  # cells that τ is measured on
    a_clip: int = 1000  # cells of a clip, if there are clips enough
    rounds: int = 20
    block: int = 65_536  # cells at once
    save_every: int = 50  # blocks
    quantile: float = 0.995  # of nearest-centroid distances: τ

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "quantile" and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        if not 0 < self.quantile <= 1:
            raise ValueError(f"quantile is {self.quantile:g}, expected above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Begun:
    """What a run's centroids depend on."""

    config: CodebookConfig
    clips: int
    seed: int


@dataclass(frozen=True, slots=True)
class Share:
    """How many cells are drawn from one clip, and how many of them are held out."""

    clip: int
    cells: int
    held_out: int


def fit_codebook(
    clips: Clips, config: CodebookConfig, folder: Path, seed: int, device: str = "cpu"
) -> Codebook:
    """Begin or go on in `folder`; leaves its state, the cells and curves there.

    ValueError if there are too few cells, or if `folder` was begun otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note(folder / NOTE, Begun(config, len(clips), seed), FREE)
    fitted, held_out = drawn_cells(clips, config, folder, seed)
    blocks = -(-len(fitted) // config.block)
    length = Length(config.rounds * blocks)
    progress = Progress("codebook", folder, length, every=min(blocks, config.save_every))
    state = resumed(folder / STATE, progress) or begin(fitted, config.centroids, seed)
    kept = progress.step
    for step in progress.run():
        progress.add(distance=gather(state, fitted, config.block, device))
        if state.done == len(fitted):
            settle(state, fitted)
        if (step + 1) % config.save_every == 0:
            keep(state, folder / STATE, progress)
            kept = progress.step
    if kept < progress.step:
        keep(state, folder / STATE, progress)
    told = taken(held_out, slice(None)).to(device)
    return codebook_of(state.centroids, told, config.quantile)


def keep(state: Lloyd, path: Path, progress: Progress) -> None:
    """Everything to go on from, in one file that is replaced whole; and the curve."""
    values = {
        "centroids": state.centroids,
        "sums": state.sums,
        "sizes": state.sizes,
        "distances": state.distances,
        "done": state.done,
        **progress.kept(),
    }
    fresh = path.with_suffix(".new")
    torch.save(values, fresh)
    fresh.replace(path)
    progress.plot()


def resumed(path: Path, progress: Progress) -> Lloyd | None:
    """What was kept, if anything was; `progress` goes on from there."""
    if not path.exists():
        return None
    values = torch.load(path, weights_only=True)
    progress.take_up(values)
    names = ("centroids", "sums", "sizes", "distances", "done")
    return Lloyd(*(values[name] for name in names))


def shares(clips: Clips, config: CodebookConfig) -> list[Share]:
    """From which clips cells are drawn, in proportion to their sizes.

    From so many, evenly spaced, that each gives about `a_clip`, or from all if these have too few.
    ValueError if all have too few.
    """
    wanted = config.each * config.centroids + config.held_out
    chosen = spaced(len(clips), min(len(clips), -(-wanted // config.a_clip)))
    sizes = [cells_of(clips, clip) for clip in chosen]
    if sum(sizes) < wanted and len(chosen) < len(clips):
        chosen = list(range(len(clips)))
        sizes = [cells_of(clips, clip) for clip in chosen]
    held_out = min(config.held_out, sum(sizes) // 2)
    fitted = min(wanted - config.held_out, sum(sizes) - held_out)
    if fitted < config.centroids:
        raise ValueError(
            f"{len(clips)} clips have {sum(sizes)} cells, and {held_out} of them are held out; "
            f"expected at least {config.centroids} others, a cell a centroid"
        )
    drawn = split(sizes, fitted + held_out)
    return [Share(*of) for of in zip(chosen, drawn, split(drawn, held_out), strict=True)]


def spaced(total: int, count: int) -> list[int]:
    """`count` of the numbers below `total`, evenly spaced."""
    return [int(at) for at in np.linspace(0, total - 1, count)]


def cells_of(clips: Clips, clip: int) -> int:
    return int(np.prod(clips[clip].shape[1:]))


def split(sizes: list[int], count: int) -> list[int]:
    """`count` in proportion to `sizes`: whole numbers of exactly that sum, none above its size."""
    total = sum(sizes)
    return [
        count * upto // total - count * before // total
        for before, upto in pairwise(accumulate(sizes, initial=0))
    ]


def drawn_cells(
    clips: Clips, config: CodebookConfig, folder: Path, seed: int
) -> tuple[Features, Features]:
    """Random cells for k-means and for τ, [n, channels] each; drawn once, then read from disk."""
    paths = folder / FITTED, folder / HELD_OUT
    if not all(path.exists() for path in paths):
        chosen, channels = shares(clips, config), clips[0].shape[0]
        counts = sum(s.cells - s.held_out for s in chosen), sum(s.held_out for s in chosen)
        progress = Progress("cells", folder / "cells", Length(len(chosen)), every=100)
        with (
            rows(paths[0], counts[0], channels) as fitted,
            rows(paths[1], counts[1], channels) as held,
        ):
            for step in progress.run():
                share = chosen[step]
                rng = np.random.default_rng([seed, share.clip])
                cells = clips[share.clip].reshape(channels, -1)
                found = cells[:, rng.choice(cells.shape[1], share.cells, replace=False)].T
                held.write(found[: share.held_out].tobytes())
                fitted.write(found[share.held_out :].tobytes())
                progress.add(cells=share.cells)
    fitted_cells, held_cells = (np.load(path, mmap_mode="r") for path in paths)
    return fitted_cells, held_cells


@contextmanager
def rows(path: Path, count: int, channels: int) -> Iterator[BinaryIO]:
    """A file that takes `count` rows and is then a float16 array [count, channels] at `path`.

    It appears whole or not at all. Written and not mapped: a mapped file that outgrows its disk
    kills the process.
    """
    fresh = path.with_suffix(".new")
    told = {"descr": "<f2", "fortran_order": False, "shape": (count, channels)}
    try:
        with fresh.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, told)
            yield file
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)

"""Large pictures through the VAE tile by tile: less memory at a time, nearly the same pictures.

Every tile is a stream of its own, so tiled films can be streamed like whole ones. Only nearly the
same: the VAE's middle attends over the whole picture, and a tile sees itself alone. It knows the
VAE's interface and nothing of its layers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from soul.model.config import ConfigError
from soul.model.wan.vae import COLOURS, VaeState, WanVae, check_pushed, check_whole, moved


@dataclass(frozen=True, slots=True)
class Tiling:
    """Square tiles of `side` latent cells; neighbours share at least `overlap` of them."""

    side: int = 32
    overlap: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.overlap < self.side:
            raise ConfigError(f"overlap {self.overlap} must lie between 0 and side {self.side}")

    def spans(self, cells: int) -> list[tuple[int, int]]:
        """Begin and end of each tile along `cells`; all of one length, the last pushed inwards."""
        side = min(self.side, cells)
        begins = [*range(0, cells - side, self.side - self.overlap), cells - side]
        return [(begin, begin + side) for begin in begins]


@dataclass(frozen=True, slots=True)
class TiledState:
    """What a tiled stream remembers: a state for each tile, row by row; none before the first."""

    tiles: tuple[VaeState, ...] = ()
    shape: torch.Size | None = None


def ramp(begin: int, end: int, cells: int, tiling: Tiling, scale: int) -> Tensor:
    """How much a tile from `begin` to `end` of `cells` counts, at each of its `scale` steps a cell.

    Rises and falls linearly over the overlap; at the picture's own edges it counts fully.
    """
    place = (torch.arange((end - begin) * scale) + 0.5) / (tiling.overlap * scale)
    weight = torch.ones(len(place))
    if begin > 0:
        weight = torch.minimum(weight, place)
    if end < cells:
        weight = torch.minimum(weight, place.flip(0))
    return weight


def blend(tiles: Sequence[Tensor], rows: int, columns: int, tiling: Tiling, scale: int) -> Tensor:
    """Tiles [B, T, C, h, w] of a picture of `rows` x `columns` cells, row by row → the picture.

    One cell is `scale` steps of the tiles. Where tiles overlap, each counts as `ramp` says.
    """
    like = tiles[0]
    total = torch.zeros(rows * scale, columns * scale, device=like.device)
    picture = torch.zeros(*like.shape[:3], *total.shape, device=like.device)
    places = product(tiling.spans(rows), tiling.spans(columns))
    for tile, ((top, bottom), (left, right)) in zip(tiles, places, strict=True):
        down = ramp(top, bottom, rows, tiling, scale)
        across = ramp(left, right, columns, tiling, scale)
        weight = torch.outer(down, across).to(like.device)
        area = slice(top * scale, bottom * scale), slice(left * scale, right * scale)
        picture[..., *area] += weight * tile
        total[area] += weight
    return (picture / total).to(like.dtype)


Push = Callable[[Tensor, VaeState], tuple[Tensor, VaeState]]


def one(push: Push, tile: Tensor, state: VaeState) -> tuple[Tensor, VaeState]:
    """One tile through `push`: its state comes from the CPU and goes back there.

    On `meta`, which holds nothing, it stays where it is.
    """
    answer, after = push(tile, moved(state, tile.device))
    parked = tile.device if tile.is_meta else torch.device("cpu")
    return answer, moved(after, parked)


class TiledVae:
    """A `WanVae` with the same interface that never computes more than one tile at a time.

    What the tiles of a stream remember is larger together than what one of them computes, so it
    waits in the CPU's memory; each tile's is fetched when its turn comes.
    """

    def __init__(self, vae: WanVae, tiling: Tiling) -> None:
        self.vae = vae
        self.tiling = tiling

    def encode(self, frames: Tensor) -> Tensor:
        """As `WanVae.encode`."""
        check_whole(frames, self.vae.config.spatial)
        return self.encode_next(frames, TiledState())[0]

    def decode(self, latents: Tensor) -> Tensor:
        """As `WanVae.decode`."""
        return self.decode_next(latents, TiledState())[0]

    def open_encoder(self) -> TiledState:
        """A stream of frames that begins."""
        return TiledState()

    def open_decoder(self) -> TiledState:
        """A stream of latents that begins."""
        return TiledState()

    def encode_next(self, frames: Tensor, state: TiledState) -> tuple[Tensor, TiledState]:
        """As `WanVae.encode_next`."""
        spatial = self.vae.config.spatial
        shape = check_pushed(frames, COLOURS, spatial, state.shape)
        cut = self.cut(frames, spatial)
        states = state.tiles or (self.vae.open_encoder(),) * len(cut)
        pushed = [one(self.vae.encode_next, *pair) for pair in zip(cut, states, strict=True)]
        return self.joined(pushed, shape, spatial, 1)

    def decode_next(self, latents: Tensor, state: TiledState) -> tuple[Tensor, TiledState]:
        """As `WanVae.decode_next`."""
        shape = check_pushed(latents, self.vae.config.channels, 1, state.shape)
        cut = self.cut(latents, 1)
        states = state.tiles or (self.vae.open_decoder(),) * len(cut)
        pushed = [one(self.vae.decode_next, *pair) for pair in zip(cut, states, strict=True)]
        return self.joined(pushed, shape, 1, self.vae.config.spatial)

    def cut(self, pushed: Tensor, scale: int) -> list[Tensor]:
        """The tiles of [B, T, C, H, W], row by row; one cell is `scale` of its pixels."""
        rows, columns = (self.tiling.spans(side // scale) for side in pushed.shape[-2:])
        return [
            pushed[..., top * scale : bottom * scale, left * scale : right * scale]
            for (top, bottom), (left, right) in product(rows, columns)
        ]

    def joined(
        self, pulled: list[tuple[Tensor, VaeState]], shape: torch.Size, scale: int, answer: int
    ) -> tuple[Tensor, TiledState]:
        """The tiles' answers as one, `answer` steps a cell, and their states.

        What was pushed had `shape` (B, C, H, W), `scale` pixels a cell.
        """
        rows, columns = (side // scale for side in shape[-2:])
        whole = blend([tile for tile, _ in pulled], rows, columns, self.tiling, answer)
        return whole, TiledState(tuple(state for _, state in pulled), shape)

"""Tiles: where they lie, that they blend without a seam, and that they stream."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from soul.model.config import ConfigError
from soul.model.wan.tiles import TiledVae, Tiling, blend, ramp
from soul.model.wan.vae import WanVae, WanVaeConfig

TINY = WanVaeConfig(
    channels=4,
    encoder_width=4,
    decoder_width=4,
    multipliers=(1, 1, 1, 1),
    residuals=1,
    mean=(0.0,) * 4,
    deviation=(1.0,) * 4,
)


@pytest.fixture(scope="module")
def vae() -> WanVae:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WanVae(TINY).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def film() -> Tensor:
    """[1, 5, 3, 48, 80]: 3 x 5 cells."""
    return torch.rand(1, 5, 3, 48, 80, generator=torch.Generator().manual_seed(1)) * 2 - 1


@given(st.integers(1, 80), st.integers(2, 30), st.data())
def test_tiles_cover_all_and_are_of_one_size(cells: int, side: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(1, side - 1))
    spans = Tiling(side, overlap).spans(cells)
    assert (spans[0][0], spans[-1][1]) == (0, cells)
    assert {end - begin for begin, end in spans} == {min(side, cells)}
    for (_, end), (begin, _) in pairwise(spans):
        assert end - begin >= overlap


def test_weights_rise_over_the_overlap_and_sum_to_one() -> None:
    tiling = Tiling(4, 1)
    left, right = ramp(0, 4, 7, tiling, 4), ramp(3, 7, 7, tiling, 4)
    assert left.tolist() == [1.0] * 12 + [0.875, 0.625, 0.375, 0.125]
    assert (left[-4:] + right[:4]).tolist() == [1.0] * 4
    assert ramp(0, 5, 5, tiling, 3).tolist() == [1.0] * 15


def test_one_tile_is_the_whole(vae: WanVae, film: Tensor) -> None:
    tiled = TiledVae(vae, Tiling(8, 2))
    latents = vae.encode(film)
    torch.testing.assert_close(tiled.encode(film), latents, atol=1e-6, rtol=0)
    torch.testing.assert_close(tiled.decode(latents), vae.decode(latents), atol=1e-6, rtol=0)


def test_tiles_that_agree_blend_without_a_seam(vae: WanVae) -> None:
    tiled = TiledVae(vae, Tiling(3, 1))
    picture = torch.randn(1, 2, 4, 5 * 16, 8 * 16, generator=torch.Generator().manual_seed(2))
    tiles = tiled.cut(picture, 16)
    assert len(tiles) == 2 * 4
    torch.testing.assert_close(blend(tiles, 5, 8, Tiling(3, 1), 16), picture, atol=1e-5, rtol=0)


def test_where_tiles_differ_one_fades_into_the_other() -> None:
    tiles = [torch.zeros(1, 1, 1, 4, 4), torch.ones(1, 1, 1, 4, 4)]
    row = blend(tiles, 4, 6, Tiling(4, 2), 1)[0, 0, 0, 0]
    assert row.tolist() == [0, 0, 0.25, 0.75, 1, 1]


def test_streamed_tiles_equal_tiles_of_the_whole(vae: WanVae, film: Tensor) -> None:
    tiled = TiledVae(vae, Tiling(3, 1))
    latents, coded = tiled.encode(film), []
    state = tiled.open_encoder()
    for frames in film.split([2, 3], 1):
        found, state = tiled.encode_next(frames, state)
        coded.append(found)
    torch.testing.assert_close(torch.cat(coded, 1), latents, atol=1e-5, rtol=0)
    shown, told = [], tiled.open_decoder()
    for latent in latents.split(1, 1):
        frames, told = tiled.decode_next(latent, told)
        shown.append(frames)
    assert [part.shape[1] for part in shown] == [1, 4]
    pictures = tiled.decode(latents)
    torch.testing.assert_close(torch.cat(shown, 1), pictures, atol=1e-5, rtol=0)
    assert pictures.shape == film.shape
    assert not torch.equal(pictures, vae.decode(latents))  # nearly the same, and not the same


def test_a_picture_of_another_size_is_told(vae: WanVae, film: Tensor) -> None:
    tiled = TiledVae(vae, Tiling(3, 1))
    _, state = tiled.encode_next(film[:, :1], tiled.open_encoder())
    with pytest.raises(ValueError, match="was pushed into a stream of"):
        tiled.encode_next(film[..., :64], state)


@pytest.mark.parametrize("overlap", [0, 4, 5])
def test_an_overlap_that_cannot_be_is_told(overlap: int) -> None:
    with pytest.raises(ConfigError, match=f"overlap {overlap} must lie between 0 and side 4"):
        Tiling(4, overlap)

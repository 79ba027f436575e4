"""Every decoder behind one interface: the portrait is not shown, and a state can be put away."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from soul.model.wan.codec import Codec, EvaeCodec, FullCodec, TaeCodec
from soul.model.wan.evae import Evae, EvaeConfig
from soul.model.wan.tae import Tae, TaeConfig
from soul.model.wan.tiles import TiledVae, Tiling
from soul.model.wan.vae import WanVae, WanVaeConfig

CHANNELS = 48


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tiny_vae() -> WanVae:
    return WanVae(WanVaeConfig(encoder_width=4, decoder_width=4))


def tiny_evae() -> Evae:
    return Evae(EvaeConfig(width=4, blocks=1))


def tiny_tae() -> Tae:
    return Tae(TaeConfig(encoder_width=4, decoder_widths=(8, 4, 4, 4), memories=1))


CODECS: dict[str, Callable[[], Codec]] = {
    "full": lambda: FullCodec(tiny_vae()),
    "tiled": lambda: FullCodec(TiledVae(tiny_vae(), Tiling(3, 1))),
    "evae": lambda: EvaeCodec(tiny_evae()),
    "taew2_2": lambda: TaeCodec(tiny_tae()),
}


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> Codec:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CODECS[str(request.param)]()


@torch.no_grad()
def test_each_latent_behind_the_portraits_is_four_frames(codec: Codec) -> None:
    pivotal, latents = drawn(1, 1, CHANNELS, 2, 4), drawn(2, 1, CHANNELS, 3, 2, 4)
    state, shown = codec.begin(pivotal), []
    for latent in latents.split(1, 2):
        frames, state = codec.next(latent, state)
        assert frames.shape == (1, 4, 3, 32, 64)
        shown.append(frames)
    together, _ = codec.next(latents, codec.begin(pivotal))
    torch.testing.assert_close(torch.cat(shown, 1), together, atol=1e-5, rtol=1e-5)
    other, _ = codec.next(latents, codec.begin(-pivotal))
    assert not torch.allclose(other, together, atol=1e-3), "the portrait is what it goes on from"


@torch.no_grad()
def test_the_full_decoder_shows_what_wans_own_would() -> None:
    vae, pivotal, latents = tiny_vae(), drawn(1, 1, CHANNELS, 2, 2), drawn(2, 1, CHANNELS, 2, 2, 2)
    codec = FullCodec(vae)
    shown, _ = codec.next(latents, codec.begin(pivotal))
    whole = vae.decode(torch.cat((pivotal.unsqueeze(2), latents), 2).transpose(1, 2))
    torch.testing.assert_close(shown, whole[:, 1:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_state_is_put_away_and_taken_up_exactly(
    codec: Codec, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("state") / "state.pt"
    _, state = codec.next(drawn(2, 1, CHANNELS, 1, 2, 4), codec.begin(drawn(1, 1, CHANNELS, 2, 4)))
    torch.save(codec.kept(state), path)
    again = codec.again(torch.load(path, weights_only=True))
    latent = drawn(3, 1, CHANNELS, 1, 2, 4)
    assert torch.equal(codec.next(latent, again)[0], codec.next(latent, state)[0])


def test_weights_beside_the_vaes_are_the_light_decoders_alone() -> None:
    assert not list(FullCodec(tiny_vae()).network.parameters())
    evae = tiny_evae()
    assert EvaeCodec(evae).network is evae

"""Wan2.2's VAE: diffusers' own numbers, streamed equals whole, and no frame sees the future.

The layers are diffusers' on both sides here; `test_official` holds them against the official code.
"""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from soul.model.config import ConfigError
from soul.model.wan.vae import (
    DEVIATION,
    MEAN,
    WAN_2_1,
    VaeState,
    WanVae,
    WanVaeConfig,
    column,
    network,
    sizes,
)

TINY = WanVaeConfig(
    channels=4,
    encoder_width=8,
    decoder_width=8,
    multipliers=(1, 1, 2, 2),
    residuals=1,
    mean=(0.1, -0.2, 0.3, 0.0),
    deviation=(0.5, 1.0, 1.5, 2.0),
)
FRAMES = 13  # four latents
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def vae() -> WanVae:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WanVae(TINY).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def film() -> Tensor:
    """[2, 13, 3, 32, 48] in [-1, 1]."""
    return torch.rand(2, FRAMES, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="module")
def latents(vae: WanVae, film: Tensor) -> Tensor:
    return vae.encode(film)


def push_frames(vae: WanVae, film: Tensor, cuts: list[int]) -> tuple[list[Tensor], VaeState]:
    """The latents of each push, and the state at the end."""
    state, pulled = vae.open_encoder(), []
    for begin, end in pairwise([0, *cuts, film.shape[1]]):
        latents, state = vae.encode_next(film[:, begin:end], state)
        pulled.append(latents)
    return pulled, state


def push_latents(vae: WanVae, latents: Tensor, cuts: list[int]) -> list[Tensor]:
    """The frames of each push."""
    state, pulled = vae.open_decoder(), []
    for begin, end in pairwise([0, *cuts, latents.shape[1]]):
        frames, state = vae.decode_next(latents[:, begin:end], state)
        pulled.append(frames)
    return pulled


def test_the_true_sizes_have_the_published_numbers_of_parameters() -> None:
    """Encoder and decoder alone; the 1 x 1 x 1 convolutions beside them are counted apart."""
    with torch.device("meta"):
        vae = WanVae(WanVaeConfig())
    counts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in vae.named_children()
    }
    assert counts == {
        "encoder": 149_627_776,
        "quant_conv": 96 * 96 + 96,
        "post_quant_conv": 48 * 48 + 48,
        "decoder": 555_049_228,
    }
    assert (len(MEAN), len(DEVIATION), WanVaeConfig().spatial) == (48, 48, 16)


def test_at_its_true_size_five_frames_of_720p_are_two_latents() -> None:
    with torch.device("meta"):
        vae = WanVae(WanVaeConfig())
        latents = vae.encode(torch.empty(1, 5, 3, 704, 1280))
        assert latents.shape == (1, 2, 48, 44, 80)
        assert vae.decode(latents).shape == (1, 5, 3, 704, 1280)


def test_weights_that_are_only_named_have_real_means() -> None:
    with torch.device("meta"):
        vae = WanVae(TINY)
    torch.testing.assert_close(vae.mean.flatten(), torch.tensor(TINY.mean))
    torch.testing.assert_close(vae.deviation.flatten(), torch.tensor(TINY.deviation))


def test_weights_loaded_in_half_precision_answer_in_it(
    vae: WanVae, film: Tensor, latents: Tensor
) -> None:
    with torch.device("meta"):
        half = WanVae(TINY)
    weights = {name: tensor.bfloat16() for name, tensor in vae.state_dict().items()}
    half.load_state_dict(weights, assign=True)
    coded = half.requires_grad_(False).encode(film.bfloat16())
    shown = half.decode(coded)
    assert coded.dtype == shown.dtype == torch.bfloat16
    assert (coded - latents).norm() < 0.05 * latents.norm()


def test_it_agrees_with_diffusers(vae: WanVae, film: Tensor, latents: Tensor) -> None:
    net = network(TINY).eval().requires_grad_(False)
    net.load_state_dict(vae.state_dict())  # its own names, all of them and no others
    raw = net.encode(film.transpose(1, 2)).latent_dist.mode()
    wanted = (raw.transpose(1, 2) - column(TINY.mean)) / column(TINY.deviation)
    assert latents.shape == (2, 4, 4, 2, 3)
    torch.testing.assert_close(latents, wanted, atol=TOLERANCE, rtol=0)
    pictures = net.decode(raw).sample.transpose(1, 2)
    torch.testing.assert_close(vae.decode(latents), pictures, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_so_does_the_vae_of_wan_2_1(film: Tensor) -> None:
    """No folded pixels, no shortcuts around its levels: 8 pixels a cell; streamed equals whole."""
    config = replace(TINY, patch=1, multipliers=(1, 1, 1, 2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = WanVae(config).eval()
    net = network(config).eval()
    net.load_state_dict(vae.state_dict())
    raw = net.encode(film.transpose(1, 2)).latent_dist.mode()
    latents = vae.encode(film)
    assert latents.shape == (2, 4, 4, 4, 6)
    wanted = (raw.transpose(1, 2) - column(TINY.mean)) / column(TINY.deviation)
    torch.testing.assert_close(latents, wanted, atol=TOLERANCE, rtol=0)
    state, shown = vae.open_decoder(), []
    for latent in latents.split(1, 1):
        pictures, state = vae.decode_next(latent, state)
        shown.append(pictures)
    whole = net.decode(raw).sample.transpose(1, 2)
    torch.testing.assert_close(torch.cat(shown, 1), whole, atol=TOLERANCE, rtol=0)


def test_the_vae_of_wan_2_1_has_its_published_size() -> None:
    """The sizes of Wan2.1's own code (wan/modules/vae.py) and of diffusers' vae/config.json."""
    assert (WAN_2_1.channels, WAN_2_1.spatial, WAN_2_1.encoder_width) == (16, 8, 96)
    assert (len(WAN_2_1.mean), len(WAN_2_1.deviation)) == (16, 16)
    with torch.device("meta"):
        assert WanVae(WAN_2_1).encode(torch.empty(1, 1, 3, 64, 96)).shape == (1, 1, 16, 8, 12)


def test_a_film_has_a_latent_for_its_first_frame_and_for_every_four() -> None:
    assert sizes(13, begun=False) == [1, 4, 4, 4]
    assert sizes(13, begun=True) == [4, 4, 4]
    assert [sizes(n, begun=False) for n in range(7)] == [[], [1], [1], [1], [1], [1, 4], [1, 4]]


@pytest.mark.parametrize("cuts", [[1, 5, 9], [3, 4, 11], [8]])
def test_frames_pushed_in_any_portions_give_the_same_latents(
    vae: WanVae, film: Tensor, latents: Tensor, cuts: list[int]
) -> None:
    pulled, state = push_frames(vae, film, cuts)
    torch.testing.assert_close(torch.cat(pulled, 1), latents, atol=TOLERANCE, rtol=0)
    ready = [1 + (end - 1) // 4 for end in [*cuts, FRAMES]]  # a latent leaves at once
    assert [part.shape[1] for part in pulled] == [b - a for a, b in pairwise([0, *ready])]
    assert (state.latents, state.waiting) == (4, None)


@pytest.mark.parametrize("cuts", [[1, 2, 3], [1], [2]])
def test_latents_pushed_in_any_portions_give_the_same_frames(
    vae: WanVae, latents: Tensor, cuts: list[int]
) -> None:
    pulled = push_latents(vae, latents, cuts)
    torch.testing.assert_close(torch.cat(pulled, 1), vae.decode(latents), atol=TOLERANCE, rtol=0)
    assert pulled[0].shape == (2, 4 * cuts[0] - 3, 3, 32, 48)
    assert sum(part.shape[1] for part in pulled) == FRAMES


def test_the_past_does_not_hear_of_the_future(vae: WanVae, film: Tensor, latents: Tensor) -> None:
    changed = film.clone()
    changed[:, 5:] *= -1
    after = vae.encode(changed)
    torch.testing.assert_close(after[:, :2], latents[:, :2], atol=0, rtol=0)
    assert not torch.allclose(after[:, 2], latents[:, 2], atol=1e-2)
    before, later = vae.decode(latents), vae.decode(after)
    torch.testing.assert_close(later[:, :5], before[:, :5], atol=0, rtol=0)
    assert not torch.allclose(later[:, 5], before[:, 5], atol=1e-3)


def test_streams_share_weights_and_nothing_else(vae: WanVae, latents: Tensor) -> None:
    """Two streams in turn; and one taken up again from a state that was kept."""
    mine, yours = latents[:1], latents[1:]
    states = [vae.open_decoder(), vae.open_decoder()]
    shown: list[list[Tensor]] = [[], []]
    for step in range(4):
        for stream, own in enumerate((mine, yours)):
            frames, states[stream] = vae.decode_next(own[:, step : step + 1], states[stream])
            shown[stream].append(frames)
    together = vae.decode(latents)
    for stream, parts in enumerate(shown):
        alone = torch.cat(parts, 1)
        torch.testing.assert_close(alone, together[stream : stream + 1], atol=TOLERANCE, rtol=0)
    _, kept = vae.decode_next(mine[:, :1], vae.open_decoder())
    first, _ = vae.decode_next(mine[:, 1:2], kept)
    again, _ = vae.decode_next(mine[:, 1:2], kept)
    torch.testing.assert_close(first, again, atol=0, rtol=0)


def test_a_still_is_a_films_first_frame(vae: WanVae, film: Tensor, latents: Tensor) -> None:
    torch.testing.assert_close(vae.still(film[:, 0]), latents[:, 0], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((1, 1, 3, 32, 40), "multiples of 16"),
        ((1, 1, 4, 32, 32), r"expected \(B, T, 3"),
        ((1, 3, 32, 32), r"shape \(1, 3, 32, 32\)"),
        ((1, 4, 3, 32, 32), "4 frames make no whole latents"),
    ],
)
def test_what_is_no_film_is_told(vae: WanVae, shape: tuple[int, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        vae.encode(torch.zeros(shape))


def test_a_stream_keeps_its_size(vae: WanVae) -> None:
    _, state = vae.encode_next(torch.zeros(1, 1, 3, 32, 32), vae.open_encoder())
    with pytest.raises(ValueError, match=r"\(1, 4, 3, 32, 48\) was pushed into a stream of"):
        vae.encode_next(torch.zeros(1, 4, 3, 32, 48), state)


def test_sizes_that_cannot_be_are_told() -> None:
    with pytest.raises(ConfigError, match="mean has 4 values for 5 channels"):
        WanVaeConfig(channels=5, mean=TINY.mean)
    with pytest.raises(ConfigError, match="makes 2 frames a latent"):
        WanVaeConfig(halves_time=(False, True, False))

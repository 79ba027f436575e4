"""Encoder and decoders: shapes, the state that makes a stream, and which way a warp goes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from soul.model.config import SOUL_MINI, SOUL_TEST, VaeConfig
from soul.model.sample import Soul
from soul.model.vae import (
    FLOW_RANGE,
    Decoder,
    Encoder,
    Reference,
    Residual,
    from_bytes,
    full_decoder,
    light_decoder,
    places,
    to_bytes,
    warp,
)

VAE = SOUL_TEST.vae


def awake(decoder: Decoder) -> Decoder:
    """Layers that start at zero get values."""
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return decoder.requires_grad_(False)


def drawn(decoder: Decoder, streams: int) -> tuple[Reference, Tensor]:
    """References and two latents each, [streams, 2, C, 4, 4]."""
    portraits = torch.rand(streams, 3, 64, 64) * 2 - 1
    pivotal = torch.randn(streams, VAE.channels, 4, 4)
    return decoder.refer(portraits, pivotal), torch.randn(streams, 2, VAE.channels, 4, 4)


@pytest.mark.parametrize("config", [VAE, SOUL_MINI.vae])
def test_four_frames_become_48_channels_at_a_sixteenth(config: VaeConfig) -> None:
    with torch.device("meta"):
        encoder = Encoder(config)
        frames = torch.empty(2, 4, 3, 64, 96)
    assert encoder(frames).shape == (2, 48, 4, 6)
    assert encoder.still(frames[:, 0]).shape == (2, 48, 4, 6)


def test_a_still_is_four_equal_frames(model: Soul) -> None:
    picture = torch.rand(2, 3, 64, 64) * 2 - 1
    wanted = model.encoder(torch.stack([picture] * 4, 1))
    torch.testing.assert_close(model.encoder.still(picture), wanted)


def test_every_cell_has_a_place_of_its_own() -> None:
    """Counted over the whole picture, whatever its size; no two cells of 64 x 64 look alike."""
    whole = places(64, 64)[0]
    assert whole.isfinite().all()
    cells = whole.flatten(1).T
    apart = torch.cdist(cells, cells) + torch.eye(len(cells)) * 9
    assert apart.min() > 1e-3
    torch.testing.assert_close(places(4, 6), places(4, 6).clone())


def test_without_a_place_the_picture_is_whole(model: Soul) -> None:
    frames = torch.rand(1, 4, 3, 64, 64) * 2 - 1
    whole = places(4, 4)
    torch.testing.assert_close(model.encoder(frames, whole), model.encoder(frames))
    assert not torch.allclose(model.encoder(frames, whole.flip(-1)), model.encoder(frames))


def test_every_frame_counts_in_its_place(model: Soul) -> None:
    frames = torch.rand(1, 4, 3, 64, 64) * 2 - 1
    assert not torch.allclose(model.encoder(frames), model.encoder(frames.flip(1)), atol=1e-3)


def test_means_and_deviations_are_taken_out() -> None:
    torch.manual_seed(0)
    encoder, frames = Encoder(VAE), torch.rand(2, 4, 3, 64, 64)
    raw = encoder.raw(frames)
    encoder.mean.fill_(2.0)
    encoder.deviation.fill_(4.0)
    torch.testing.assert_close(encoder(frames), (raw - 2) / 4)


def test_a_cell_does_not_see_the_rest_of_the_picture() -> None:
    """Training sees crops: beyond the reach of the convolutions nothing may change a cell."""
    torch.manual_seed(0)
    block = Residual(16)
    torch.nn.init.normal_(block.conv2.weight)
    picture = torch.randn(1, 16, 24, 24)
    with torch.no_grad():
        whole, crop = block(picture), block(picture[..., :16, :16])
    torch.testing.assert_close(crop[..., :14, :14], whole[..., :14, :14], atol=1e-5, rtol=1e-5)
    assert not torch.equal(crop[..., 15, 15], whole[..., 15, 15])  # there its reach ends


@pytest.mark.parametrize("make", [full_decoder, light_decoder])
def test_a_latent_becomes_four_pictures(make: object) -> None:
    decoder = full_decoder(VAE) if make is full_decoder else light_decoder(VAE)
    reference, latents = drawn(decoder, 2)
    painted = decoder(latents[:, 0], reference, decoder.first_state(reference))
    assert painted.pictures.shape == painted.paint.shape == (8, 3, 64, 64)
    assert painted.mask.shape == (8, 1, 64, 64)
    assert painted.flow.shape == (8, 2, 8, 8)
    assert painted.flow.abs().max() <= FLOW_RANGE
    assert ((painted.mask >= 0) & (painted.mask <= 1)).all()


def test_the_light_decoder_is_lighter() -> None:
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in make(SOUL_MINI.vae).parameters())
            for make in (light_decoder, full_decoder)
        ]
    assert sizes[0] < sizes[1] / 2
    assert sizes[0] < 1_300_000


def test_latents_one_by_one_are_the_same_as_all_at_once() -> None:
    """The state is what the latent before entered as, so a file may be decoded in parallel."""
    torch.manual_seed(0)
    decoder = awake(light_decoder(VAE))
    reference, latents = drawn(decoder, 1)
    first = decoder(latents[:, 0], reference, decoder.first_state(reference))
    second = decoder(latents[:, 1], reference, first.state)
    states = torch.cat((decoder.first_state(reference), decoder.enter(latents[:, 0], reference)))
    both = decoder(latents[0], Reference.cat([reference, reference]), states)
    pictures = torch.cat((first.pictures, second.pictures))
    torch.testing.assert_close(both.pictures, pictures, atol=1e-5, rtol=1e-5)
    fresh = decoder(latents[:, 1], reference, decoder.first_state(reference))
    assert not torch.allclose(fresh.pictures, second.pictures, atol=1e-4)  # the state does count


def test_streams_of_a_batch_are_decoded_apart() -> None:
    torch.manual_seed(0)
    decoder = awake(light_decoder(VAE))
    reference, latents = drawn(decoder, 3)
    together = decoder(latents[:, 0], reference, decoder.first_state(reference)).pictures
    for i in range(3):
        part = slice(i, i + 1)
        mine = Reference(reference.picture[part], reference.fine[part], reference.coarse[part])
        alone = decoder(latents[part, 0], mine, decoder.first_state(mine)).pictures
        torch.testing.assert_close(alone, together[4 * i : 4 * i + 4], atol=1e-5, rtol=1e-5)


def test_a_mask_of_one_shows_the_warped_portrait_and_nought_the_paint() -> None:
    torch.manual_seed(0)
    decoder = awake(light_decoder(VAE))
    reference, latents = drawn(decoder, 1)
    painted = decoder(latents[:, 0], reference, decoder.first_state(reference))
    moved = warp(reference.picture.expand(4, -1, -1, -1), painted.flow)
    wanted = painted.paint * (1 - painted.mask) + moved * painted.mask
    torch.testing.assert_close(painted.pictures, wanted)


def test_no_flow_is_no_change() -> None:
    picture = torch.rand(2, 3, 32, 48)
    torch.testing.assert_close(warp(picture, torch.zeros(2, 2, 4, 6)), picture, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("x", "y"), [(1, 0), (0, 1), (-2, 3)])
def test_a_flow_points_to_where_the_picture_is_taken_from(x: int, y: int) -> None:
    picture = torch.rand(1, 3, 32, 32)
    flow = torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    moved = warp(picture, flow)
    for row, column in ((10, 10), (20, 7)):
        wanted = picture[0, :, row + y, column + x]
        torch.testing.assert_close(moved[0, :, row, column], wanted, atol=1e-4, rtol=0)


def test_a_flow_counts_pixels_of_the_full_picture() -> None:
    features = torch.rand(1, 3, 16, 16)
    flow = torch.tensor([8.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    moved = warp(features, flow, scale=4)
    torch.testing.assert_close(moved[..., :-2], features[..., 2:], atol=1e-4, rtol=0)
    edge = features[..., -1:].expand(-1, -1, -1, 2)  # beyond the border the border goes on
    torch.testing.assert_close(moved[..., -2:], edge, atol=1e-4, rtol=0)


def test_pictures_become_bytes() -> None:
    levels = torch.tensor([-3.0, -1.0, -0.5, 0.0, 1.0, 1.5])
    pictures = levels.view(6, 1, 1, 1).expand(6, 3, 2, 5)
    found = to_bytes(pictures, 3)
    assert found.shape == (2, 3, 2, 5, 3)
    assert found.dtype == torch.uint8
    assert found[..., 0, 0, 0].flatten().tolist() == [0, 0, 64, 128, 255, 255]


def test_bytes_become_pictures() -> None:
    found = from_bytes(np.array([[[[0, 255, 51]]]], np.uint8))
    assert found.shape == (1, 3, 1, 1)
    torch.testing.assert_close(found.flatten(), torch.tensor([-1.0, 1.0, -0.6]))


def test_bytes_survive_the_way_there_and_back() -> None:
    levels = torch.arange(256, dtype=torch.float32) / 127.5 - 1
    found = to_bytes(levels.view(1, 1, 16, 16).expand(1, 3, 16, 16), 1)
    assert found[0, 0, ..., 0].flatten().tolist() == list(range(256))

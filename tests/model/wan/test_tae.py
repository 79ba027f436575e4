"""The light codec: as its own repository computes it, and a stream as the whole.

Golden values: taehv.py of madebyollin/taehv, commit 1f14a56, with patch 2, 48 channels and the
weights of `drawn` (float32, CPU).
"""

import pytest
import torch
from torch import Tensor

from soul.model.wan.tae import Tae, TaeConfig, TaeStream

SMALL = TaeConfig(encoder_width=8, decoder_widths=(16, 8, 8, 8))


@torch.no_grad()
def drawn(config: TaeConfig | None = None) -> Tae:
    """Random weights that another program can draw as well."""
    model = Tae(config).requires_grad_(False).eval()
    for number, (_, parameter) in enumerate(sorted(model.named_parameters())):
        draw = torch.Generator().manual_seed(number)
        scale = 0.1 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
        parameter.copy_(torch.randn(parameter.shape, generator=draw) * scale)
    model.get_parameter("decoder.22.bias").add_(0.4)  # so that few pixels are clamped
    return model


@pytest.fixture(scope="module")
def small() -> Tae:
    return drawn(SMALL)


def video(frames: int = 9) -> Tensor:
    """[1, 3, frames, 32, 32] in [-1, 1]."""
    ramp = torch.arange(frames * 3 * 32 * 32, dtype=torch.float64)
    return torch.sin(ramp * 0.37).float().view(1, frames, 3, 32, 32).movedim(1, 2)


def latents(count: int = 3) -> Tensor:
    """[1, 48, count, 2, 2]."""
    ramp = torch.arange(48 * count * 4, dtype=torch.float64)
    return 2 * torch.sin(ramp * 1.3).float().view(1, 48, count, 2, 2)


def test_the_published_weights_fit() -> None:
    """Names and shapes of `taew2_2.safetensors`, as the repository builds its layers."""
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Tae().state_dict().items()}
    assert len(shapes) == 128
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 11_418_108
    some = {
        "encoder.0.weight": (64, 12, 3, 3),
        "encoder.2.conv.weight": (64, 128, 1, 1),
        "encoder.3.weight": (64, 64, 3, 3),
        "encoder.12.conv.weight": (64, 64, 1, 1),
        "encoder.16.conv.4.bias": (64,),
        "encoder.17.weight": (48, 64, 3, 3),
        "decoder.1.weight": (256, 48, 3, 3),
        "decoder.3.conv.0.weight": (256, 512, 3, 3),
        "decoder.7.conv.weight": (256, 256, 1, 1),
        "decoder.13.conv.weight": (256, 128, 1, 1),
        "decoder.14.weight": (64, 128, 3, 3),
        "decoder.19.conv.weight": (128, 64, 1, 1),
        "decoder.22.weight": (12, 64, 3, 3),
    }
    assert {name: shapes[name] for name in some} == some
    assert "encoder.3.bias" not in shapes
    assert "decoder.8.bias" not in shapes


def test_it_computes_what_its_repository_does() -> None:
    model = drawn()
    encoded, decoded = model.encode(video()), model.decode(latents())
    assert encoded.shape == (1, 48, 3, 2, 2)
    assert decoded.shape == (1, 3, 9, 32, 32)
    found = encoded.flatten()[[0, 100, 250, 400, 575]]
    wanted = torch.tensor([-0.393312, -0.158183, 0.246962, 0.042088, -0.114848])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    found = decoded.flatten()[[10, 5000, 12000, 20000, 27000]]
    wanted = torch.tensor([-0.57173, -0.222451, 0.018021, -0.09082, -0.531791])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("pieces", [(1, 1, 1, 1), (2, 2), (1, 3)])
def test_a_stream_is_decoded_as_the_whole(small: Tae, pieces: tuple[int, ...]) -> None:
    whole, stream = small.decode(latents(4)), TaeStream()
    parts = [small.decode(piece, stream) for piece in latents(4).split(pieces, 2)]
    assert [part.shape[2] for part in parts] == [4 * n - 3 * (i == 0) for i, n in enumerate(pieces)]
    torch.testing.assert_close(torch.cat(parts, 2), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pieces", [(4, 4, 4), (8, 4)])
def test_a_stream_is_encoded_as_the_whole(small: Tae, pieces: tuple[int, ...]) -> None:
    whole, stream = small.encode(video(12)), TaeStream()
    parts = [small.encode(piece, stream) for piece in video(12).split(pieces, 2)]
    torch.testing.assert_close(torch.cat(parts, 2), whole, atol=1e-5, rtol=0)


def test_what_comes_later_changes_nothing_before(small: Tae) -> None:
    now, later = latents(4), latents(4)
    later[:, :, 3] += 1
    before = small.decode(now[:, :, :3])
    torch.testing.assert_close(small.decode(later)[:, :, :9], before, atol=1e-5, rtol=0)
    changed = video(12)
    changed[:, :, 8:] *= -1
    found = small.encode(changed)[:, :, :2]
    torch.testing.assert_close(found, small.encode(video(8)), atol=1e-5, rtol=0)


def test_the_past_does_count(small: Tae) -> None:
    earlier = latents(3)
    earlier[:, :, 0] += 1
    assert not torch.allclose(small.decode(earlier)[:, :, 1:], small.decode(latents(3))[:, :, 1:])


def test_streams_and_videos_of_a_batch_stay_apart(small: Tae) -> None:
    pair = torch.cat((latents(), -latents()))
    here, there, both = TaeStream(), TaeStream(), TaeStream()
    for piece in pair.split(1, 2):
        together = small.decode(piece, both)
        alone = torch.cat((small.decode(piece[:1], here), small.decode(piece[1:], there)))
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    films = torch.cat((video(8), -video(8)))
    apart = torch.cat([small.encode(film) for film in films.split(1)])
    torch.testing.assert_close(small.encode(films), apart, atol=1e-5, rtol=0)


def test_the_last_frame_fills_a_latent_that_lacks_some(small: Tae) -> None:
    film = video(5)
    filled = torch.cat((film, film[:, :, -1:].expand(-1, -1, 3, -1, -1)), 2)
    torch.testing.assert_close(small.encode(film), small.encode(filled))


def test_a_piece_of_a_stream_brings_whole_latents(small: Tae) -> None:
    with pytest.raises(ValueError, match="3 frames, expected a multiple of 4"):
        small.encode(video(3), TaeStream())


def test_pictures_stay_in_range(small: Tae) -> None:
    found = small.decode(40 * latents())
    assert found.min() == -1
    assert found.max() == 1

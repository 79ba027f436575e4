"""The decoder without a guide: it cannot see the portrait, and differs in nothing else."""

import torch
from torch import Tensor

from soul.model.config import SOUL_TEST
from soul.model.vae import Painted, Reference
from soul.training.autoencoder import new_autoencoder, new_light
from soul.training.unguided import Unguided, new_unguided

VAE = SOUL_TEST.vae


def seen(decoder: Unguided, portrait: Tensor) -> Tensor:
    torch.manual_seed(0)
    pivotal, latent = torch.randn(2, 48, 4, 4), torch.randn(2, 48, 4, 4)
    reference = decoder.refer(portrait, pivotal)
    with torch.no_grad():
        painted: Painted = decoder(latent, reference, decoder.first_state(reference))
    return painted.pictures


def unguided() -> Unguided:
    torch.manual_seed(0)
    return Unguided(VAE, VAE.light_trunk, VAE.light_width, blocks=2)


def test_no_pixel_of_the_portrait_is_seen() -> None:
    decoder = unguided()
    first, second = (seen(decoder, torch.rand(2, 3, 64, 64)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (8, 3, 64, 64)


def test_the_pivotal_latent_is_seen() -> None:
    decoder, still = unguided(), torch.zeros(1, 3, 64, 64)
    latent, pivotals = torch.zeros(1, 48, 4, 4), torch.randn(2, 1, 48, 4, 4)
    with torch.no_grad():
        found = [
            decoder(latent, reference, decoder.first_state(reference)).pictures
            for reference in (decoder.refer(still, pivotal) for pivotal in pivotals)
        ]
    assert not torch.equal(*found)


def test_nothing_shows_through_and_nothing_is_warped() -> None:
    decoder = unguided()
    reference = decoder.refer(torch.rand(1, 3, 64, 64), torch.randn(1, 48, 4, 4))
    painted = decoder(torch.randn(1, 48, 4, 4), reference, decoder.first_state(reference))
    assert torch.equal(painted.pictures, painted.paint)
    assert painted.mask.shape == (4, 1, 64, 64)
    assert painted.flow.shape == (4, 2, 8, 8)
    assert not painted.mask.any()
    assert not painted.flow.any()
    assert reference.picture.numel() == reference.fine.numel() == 0


def test_references_are_put_together_as_the_guided_ones_are() -> None:
    one = unguided().refer(torch.rand(1, 3, 64, 64), torch.randn(1, 48, 4, 4))
    assert Reference.cat([one, one]).coarse.shape[0] == 2


def test_what_both_decoders_have_starts_equal() -> None:
    """Trunk, memory and every block on the way up; only ends differ, by what they take and give."""
    encoder = new_autoencoder(VAE, 0).encoder
    guided = new_light(VAE, encoder, 5).decoder.state_dict()
    alone = new_unguided(VAE, encoder, 5).decoder.state_dict()
    own = {"entry", "up2", "head"}
    common = {name for name in alone if name.split(".")[0] not in own}
    assert {name.split(".")[0] for name in common} == {
        "memory", "trunk", "up1", "middle", "join", "full",
    }  # fmt: skip
    for name in common:
        assert torch.equal(guided[name], alone[name]), name
    assert {name.split(".")[0] for name in guided} - {name.split(".")[0] for name in alone} == {
        "fine", "coarse", "flow",
    }  # fmt: skip


def test_only_the_decoder_learns() -> None:
    painter = new_unguided(VAE, new_autoencoder(VAE, 0).encoder, 5)
    assert not any(p.requires_grad for p in painter.encoder.parameters())
    assert all(p.requires_grad for p in painter.decoder.parameters())

"""The transformer agrees with diffusers' `WanTransformer3DModel`, whose weights load by name.

As Wan2.2-TI2V runs: text filled up with zeros to 512 words, which are attended; the first latent,
which is given, at timestep 0 and the others at an integer one, told token by token.
`wan/test_official` holds it against the official code.
"""

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from soul.model.config import SOUL_5B, SOUL_TEST, DiTConfig
from soul.model.dit import Block, DiT
from soul.model.rope import rotation
from soul.model.wan.names import from_diffusers

WORDS, FILLED = 7, 512


def drawn(module: nn.Module, seed: int) -> nn.Module:
    """`module` with every weight random, so that nothing is a no-op."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            spread = parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.2
            centre = 1.0 if parameter.dim() == 1 and parameter.mean() > 0.5 else 0.0  # of a norm
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * spread + centre)
    return module.eval().requires_grad_(False)


def peer(config: DiTConfig) -> nn.Module:
    """diffusers' model of the same sizes."""
    made: nn.Module = WanTransformer3DModel(
        patch_size=(1, config.patch, config.patch),
        num_attention_heads=config.heads,
        attention_head_dim=config.head_dim,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        text_dim=config.text_dim,
        freq_dim=config.freq_dim,
        ffn_dim=config.ffn_dim,
        num_layers=config.layers,
        eps=config.eps,
    )
    return made


def ours_of(theirs: nn.Module, config: DiTConfig) -> DiT:
    """Our model with their weights; what it has besides are the layers that hear."""
    ours = DiT(config)
    renamed = {from_diffusers(name): value for name, value in theirs.state_dict().items()}
    kept = ours.load_state_dict(renamed, strict=False)
    assert kept.unexpected_keys == []
    assert all("audio" in name for name in kept.missing_keys)
    return ours.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    return drawn(peer(SOUL_TEST.dit), 0)


@pytest.fixture(scope="module")
def ours(theirs: nn.Module) -> DiT:
    return ours_of(theirs, SOUL_TEST.dit)


@pytest.fixture(scope="module")
def asked() -> tuple[Tensor, Tensor, Tensor]:
    """(latents, a timestep a token, text) of two clips of five latents of 2 x 3 tokens."""
    draw = torch.Generator().manual_seed(1)
    latent = torch.randn(2, 48, 5, 4, 6, generator=draw)
    times = torch.tensor([[875.0], [3.0]]).repeat(1, 5 * 6)
    times[:, :6] = 0
    text = torch.zeros(2, FILLED, SOUL_TEST.dit.text_dim)
    text[:, :WORDS] = torch.randn(2, WORDS, SOUL_TEST.dit.text_dim, generator=draw)
    return latent, times, text


def answer(theirs: nn.Module, latent: Tensor, times: Tensor, text: Tensor) -> Tensor:
    found: Tensor = theirs(latent, times, text, return_dict=False)[0]
    return found


def test_a_clip_is_as_diffusers_says(
    theirs: nn.Module, ours: DiT, asked: tuple[Tensor, Tensor, Tensor]
) -> None:
    latent, times, text = asked
    wanted = answer(theirs, latent, times, text)
    assert wanted.std() > 0.5
    for each in (times, times[:, ::6]):  # told by tokens, by latents
        found = ours(latent, each, text, None, None).flow
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    one = torch.tensor([875.0, 3.0])
    found = ours(latent, one, text, None, None).flow
    torch.testing.assert_close(found, answer(theirs, latent, one, text), atol=1e-4, rtol=0)


def test_words_that_fill_up_are_attended(
    theirs: nn.Module, ours: DiT, asked: tuple[Tensor, Tensor, Tensor]
) -> None:
    latent, times, text = asked
    full = ours(latent, times, text, None, None).flow
    cut = ours(latent, times, text[:, :WORDS], None, None).flow
    assert (full - cut).abs().max() > 0.1


def test_in_bfloat16_it_is_near(theirs: nn.Module, asked: tuple[Tensor, Tensor, Tensor]) -> None:
    latent, times, text = asked
    wanted = answer(theirs, latent, times, text)
    half = ours_of(theirs, SOUL_TEST.dit).to(torch.bfloat16)
    found = half(latent, times, text, None, None).flow
    assert found.dtype == torch.bfloat16
    error = torch.linalg.vector_norm(found.float() - wanted) / torch.linalg.vector_norm(wanted)
    assert error < 2e-2


def test_a_block_of_the_5bs_width_is_as_diffusers_says() -> None:
    """Both hold the same tensors; what the timestep says is drawn, a vector a token."""
    config = SOUL_5B.dit
    with torch.device("meta"):
        theirs, ours = peer_block(config), Block(config)
    draw = torch.Generator().manual_seed(2)
    weights = {
        name: torch.rand(shape.shape, generator=draw) * 0.03 - 0.015 + float("norm" in name)
        for name, shape in theirs.state_dict().items()
    }
    theirs.load_state_dict(weights, assign=True)
    renamed = {
        from_diffusers(f"blocks.0.{name}").removeprefix("blocks.0."): value
        for name, value in weights.items()
    }
    ours.load_state_dict(renamed, strict=False, assign=True)
    x, text = torch.randn(1, 12, 3072, generator=draw), torch.randn(1, 9, 3072, generator=draw)
    time = torch.randn(1, 12, 6, 3072, generator=draw) * 0.1
    turn = rotation(torch.tensor([[0, 1]]), 2, 3, config.head_dim)
    pairs = tuple(part[:, :, None].repeat_interleave(2, -1) for part in turn)
    with torch.no_grad():
        wanted = theirs(x, text, time, pairs)
        found, _, _ = ours(x, time, turn, None, text, None)
    assert (wanted - x).std() > 0.1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def peer_block(config: DiTConfig) -> nn.Module:
    """One of diffusers' blocks."""
    made = WanTransformer3DModel(
        num_attention_heads=config.heads,
        attention_head_dim=config.head_dim,
        ffn_dim=config.ffn_dim,
        num_layers=1,
        eps=config.eps,
    )
    (block,) = made.blocks
    found: nn.Module = block
    return found

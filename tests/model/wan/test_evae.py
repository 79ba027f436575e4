"""The eVAE: the Wan 2.2 decoder's layout, a stream as the whole, and what it costs."""

import re

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from soul.model.wan.evae import (
    EVAE,
    EVAE_COUNTED,
    Evae,
    EvaeConfig,
    EvaeStream,
    macs,
    parameters,
)

TINY = EvaeConfig(width=4)
FULL = EvaeConfig(width=256)  # the decoder of Wan 2.2

PAPER_SIZE = (109, 1088, 1920)

# The same parameters in diffusers' names.
NAMES = (
    (r"conv_in\.", "entry.conv."),
    (r"conv_out\.", "head.conv."),
    (r"norm_out\.", "norm."),
    (r"mid_block\.resnets\.0\.", "before."),
    (r"mid_block\.resnets\.1\.", "after."),
    (r"mid_block\.attentions\.0\.", "attention."),
    (r"to_qkv\.", "qkv."),
    (r"proj\.", "out."),
    (r"up_blocks\.3\.resnets\.", "finest."),
    (r"up_blocks\.(\d)\.resnets\.", r"levels.\1.blocks."),
    (r"up_blocks\.(\d)\.upsampler\.time_conv\.", r"levels.\1.grow.conv."),
    (r"up_blocks\.(\d)\.upsampler\.resample\.1\.", r"levels.\1.spread."),
    (r"(conv[12])\.", r"\1.conv."),
    (r"conv_shortcut\.", "shortcut."),
    (r"gamma$", "gain"),
)


def named(theirs: str) -> str:
    """A parameter's name in diffusers' decoder → here."""
    for pattern, ours in NAMES:
        theirs = re.sub(pattern, ours, theirs)
    return theirs


@torch.no_grad()
def drawn(config: EvaeConfig = TINY) -> Evae:
    torch.manual_seed(0)
    model = Evae(config).requires_grad_(False).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@pytest.fixture(scope="module")
def evae() -> Evae:
    return drawn()


def latents(count: int, batch: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(7)
    return torch.randn(batch, 48, 5, 3, 2, generator=draw)[:, :, :count]


def test_the_first_latent_is_a_frame_and_every_later_one_four(evae: Evae) -> None:
    for count, frames in ((1, 1), (2, 5), (4, 13)):
        assert evae(latents(count)).shape == (1, 3, frames, 48, 32)


def test_it_is_the_layout_of_the_full_decoder(evae: Evae) -> None:
    """diffusers' decoder with the same weights paints the same, latent by latent."""
    width = TINY.width
    theirs = AutoencoderKLWan(
        base_dim=4, decoder_base_dim=width, z_dim=48, dim_mult=[1, 2, 4, 4], num_res_blocks=2,
        temperal_downsample=[False, True, True], is_residual=True, in_channels=12, out_channels=12,
        patch_size=2, scale_factor_spatial=16, scale_factor_temporal=4,
        latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
    )  # fmt: skip
    theirs = theirs.requires_grad_(False).eval()
    state = theirs.decoder.state_dict()
    ours = evae.state_dict()
    # Theirs folds its channels in another order: columns before rows.
    swap = torch.arange(12).view(3, 2, 2).transpose(1, 2).flatten()
    assert {named(name) for name in state} == set(ours)
    for name, value in state.items():
        found = ours[named(name)]
        found = found[swap] if name.startswith("conv_out") else found
        value.copy_(found.view(value.shape))
    theirs.post_quant_conv.weight.copy_(torch.eye(48).view(48, 48, 1, 1, 1))
    theirs.post_quant_conv.bias.zero_()
    wanted = theirs.decode(latents(4), return_dict=False)[0]
    assert 0.05 < wanted.std() < 0.5  # neither nothing nor all is clamped
    torch.testing.assert_close(evae(latents(4)).clamp(-1, 1), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("pieces", [(1, 1, 1, 1, 1), (2, 3), (1, 4)])
def test_a_stream_is_painted_as_the_whole(evae: Evae, pieces: tuple[int, ...]) -> None:
    stream = EvaeStream()
    parts = [evae(piece, stream) for piece in latents(5).split(pieces, 2)]
    assert [part.shape[2] for part in parts] == [4 * n - 3 * (i == 0) for i, n in enumerate(pieces)]
    torch.testing.assert_close(torch.cat(parts, 2), evae(latents(5)), atol=1e-5, rtol=0)


def test_what_comes_later_changes_nothing_before(evae: Evae) -> None:
    changed = latents(4).clone()
    changed[:, :, 3] += 1
    found = evae(changed)
    torch.testing.assert_close(found[:, :, :9], evae(latents(3)), atol=1e-5, rtol=0)
    assert not torch.allclose(found, evae(latents(4)), atol=1e-3)


def test_the_past_does_count(evae: Evae) -> None:
    changed = latents(4).clone()
    changed[:, :, 0] += 1
    assert not torch.allclose(evae(changed)[:, :, 5:], evae(latents(4))[:, :, 5:], atol=1e-4)


def test_streams_and_videos_of_a_batch_stay_apart(evae: Evae) -> None:
    pair = latents(3, batch=2)
    here, there, both = EvaeStream(), EvaeStream(), EvaeStream()
    for piece in pair.split(1, 2):
        alone = torch.cat((evae(piece[:1], here), evae(piece[1:], there)))
        torch.testing.assert_close(evae(piece, both), alone, atol=1e-5, rtol=0)


def test_what_a_stream_remembers_does_not_grow(evae: Evae) -> None:
    stream, sizes = EvaeStream(), []
    for piece in latents(5).split(1, 2):
        evae(piece, stream)
        sizes.append(
            {number: past.untyped_storage().nbytes() for number, past in stream.pasts.items()}
        )
    assert sizes[1] == sizes[2] == sizes[4]


def test_the_papers_sizes_are_those_of_the_full_decoder_at_a_quarter_of_its_width() -> None:
    """34.97 M against 555.05 M parameters; and 688.58 T / 43.34 T, the quotient, holds as well."""
    assert parameters(EVAE) == 34_965_580
    assert parameters(FULL) == 555_049_228
    ours, full = (macs(config, *PAPER_SIZE) for config in (EVAE, FULL))
    assert full / ours == pytest.approx(688.58 / 43.34, rel=0.01)
    # What the module's docstring says of the paper's own figures.
    assert full == pytest.approx(2103e12, rel=1e-3)
    assert ours == pytest.approx(133.1e12, rel=1e-3)


def test_the_counted_one_has_the_papers_figures_as_they_stand() -> None:
    assert parameters(EVAE_COUNTED) == pytest.approx(34.97e6, rel=0.002)
    assert macs(EVAE_COUNTED, *PAPER_SIZE) == pytest.approx(43.34e12, rel=0.007)
    small = EvaeConfig(width=4, times=EVAE_COUNTED.times, blocks=EVAE_COUNTED.blocks)
    assert drawn(small)(latents(2)).shape == (1, 3, 5, 48, 32)


def test_multiplications_are_counted_as_by_hand() -> None:
    """A single frame of 2 x 3 cells: no convolution doubles frames."""
    c, cells = TINY.width, 6
    top = 27 * 48 * 4 * c + 4 * 27 * (4 * c) ** 2 + 4 * (4 * c) ** 2 + 2 * cells * 4 * c
    coarse = 6 * 27 * (4 * c) ** 2
    half = 27 * (4 * c * 2 * c + 5 * (2 * c) ** 2) + 4 * c * 2 * c
    fine = 27 * (2 * c * c + 5 * c * c) + 2 * c * c
    spread = 9 * (4 * (4 * c) ** 2 + 16 * (4 * c) ** 2 + 64 * (2 * c) ** 2)
    wanted = top + coarse + 4 * coarse + 16 * half + 64 * (fine + 27 * c * 12) + spread
    assert macs(TINY, 1, 32, 48) == cells * wanted


def test_a_video_costs_what_its_pieces_cost() -> None:
    first, second, third = (macs(TINY, frames, 32, 48) for frames in (1, 5, 9))
    assert third - second == second - first > 3 * first


@pytest.mark.parametrize("size", [(4, 32, 48), (5, 30, 48), (5, 32, 40)])
def test_what_is_no_whole_latent_is_not_counted(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no whole latents"):
        macs(TINY, *size)


def test_levels_and_steps_between_them_must_match() -> None:
    with pytest.raises(ValueError, match="4 levels have 2 steps between them, expected 3"):
        EvaeConfig(doubles=(True, True))


def test_channels_must_fit_the_step_without_weights() -> None:
    with pytest.raises(ValueError, match="7 widths of channels cannot be laid out over 2"):
        EvaeConfig(times=(4, 7, 2, 1))

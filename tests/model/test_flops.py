"""What denoising costs, against a count by hand."""

from dataclasses import replace

import pytest

from soul.model.config import DEAF, SOUL_5B, SOUL_TEST, SoulConfig, in_clips
from soul.model.flops import pass_flops, passes_a_step

HEARD = 7


def by_hand(config: SoulConfig, latents: int, hearing: int, keys: int) -> int:
    """Of a pass over `latents`, the last `hearing` of which hear; `keys` are seen by each token."""
    dit, tokens = config.dit, latents * config.tokens
    dim, cells = dit.dim, dit.latent_channels * dit.patch**2
    attended = 4 * dim * (tokens * keys + tokens * dit.text_len + hearing * config.tokens * HEARD)
    own = 4 * tokens * dim**2
    text = 2 * (tokens + dit.text_len) * dim**2
    sound = 2 * hearing * (config.tokens + HEARD) * dim**2
    block = attended + 2 * (own + text + sound + 2 * tokens * dim * dit.ffn_dim)
    ends = 2 * 2 * tokens * dim * cells
    words = 2 * dit.text_len * (dit.text_dim + dim) * dim
    time = 2 * (dit.freq_dim + dim + 6 * dim) * dim
    return dit.layers * block + ends + words + time + 2 * hearing * HEARD * dit.audio_dim * dim


def test_a_pass_of_a_stream_with_a_full_window() -> None:
    keys = (1 + SOUL_TEST.window + 1) * SOUL_TEST.tokens
    assert pass_flops(SOUL_TEST, HEARD) == by_hand(SOUL_TEST, 1, 1, keys)


def test_a_pass_of_a_clip_that_follows_another() -> None:
    config = in_clips(SOUL_TEST)
    assert pass_flops(config, HEARD) == by_hand(config, 28, 27, 28 * config.tokens)


def test_who_hears_nothing_pays_nothing_for_it() -> None:
    config = replace(SOUL_TEST, cue_width=0, dit=replace(SOUL_TEST.dit, audio_form=DEAF))
    keys = (1 + config.window + 1) * config.tokens
    assert pass_flops(config, HEARD) == by_hand(config, 1, 0, keys)


def test_the_5b_is_counted_without_its_numbers() -> None:
    """Ten billion operations a token for the linear layers alone, five billion parameters twice."""
    tokens = SOUL_5B.tokens
    assert pass_flops(SOUL_5B, 8) > 2 * 4.5e9 * tokens


@pytest.mark.parametrize(
    ("words", "sound", "passes"), [(1, 1, 1), (5, 1, 2), (1, 3, 2), (4, 4, 2), (5, 3, 3)]
)
def test_guidance_costs_passes(words: float, sound: float, passes: int) -> None:
    config = replace(SOUL_TEST, guidance=words, audio_guidance=sound)
    assert passes_a_step(config) == passes

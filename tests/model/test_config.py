"""Sizes: the presets' own figures, what cannot be, and the JSON form."""

import json
from dataclasses import replace
from typing import Any

import pytest

from soul.model.config import (
    PRESETS,
    SOUL_5B,
    SOUL_MINI,
    SOUL_MINI_512,
    SOUL_TEST,
    ConfigError,
    SoulConfig,
    from_dict,
    to_dict,
)


def test_soul_5b_has_the_sizes_of_wan() -> None:
    dit = SOUL_5B.dit
    assert (dit.dim, dit.ffn_dim, dit.layers, dit.heads) == (3072, 14336, 30, 24)
    assert (dit.latent_channels, dit.patch, dit.head_dim) == (48, 2, 128)
    assert (dit.text_len, dit.text_dim, dit.freq_dim, dit.eps) == (512, 4096, 256, 1e-6)
    assert (SOUL_5B.shift, SOUL_5B.centroids) == (5.0, 40_000)


def test_soul_mini_has_the_geometry_of_the_live_way() -> None:
    assert (SOUL_MINI.image_size, SOUL_MINI.grid, SOUL_MINI.tokens) == (256, 16, 64)
    vae = SOUL_MINI.vae
    assert (vae.channels, vae.temporal, vae.spatial) == (48, 4, 16)
    assert (SOUL_MINI.steps, SOUL_MINI.window) == (2, 6)


def test_the_larger_mini_differs_by_its_pictures_alone() -> None:
    """Its weights have soul-mini's shapes; a latent has four times the tokens."""
    larger = SOUL_MINI_512
    assert (larger.image_size, larger.grid, larger.tokens) == (512, 32, 256)
    same = replace(larger, name="soul-mini", image_size=256, shift=SOUL_MINI.shift)
    assert same == SOUL_MINI
    assert PRESETS["soul-mini-512"] is larger


@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda c: c.name)
def test_a_chunk_hears_past_itself_and_half_a_mel_window(config: SoulConfig) -> None:
    audio = config.audio
    assert (audio.past_samples, config.chunk_samples, audio.lookahead_samples) == (5320, 2560, 520)
    assert config.window_samples == 8400
    assert audio.window_mels == 1 + (config.window_samples - 400) // 160


@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda c: c.name)
def test_a_config_survives_json(config: SoulConfig) -> None:
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


def test_what_a_config_leaves_out_is_the_default() -> None:
    values = {**to_dict(SOUL_MINI), "vae": {"light_width": 32}}
    assert from_dict(values).vae == replace(SOUL_MINI.vae, light_width=32)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"name": "x", "windwo": 3}, "'windwo'"),
        ({"name": "x", "dit": {"dmi": 3}}, r"dit\.dmi"),
        ({"name": "x", "vae": {"chanels": 3}}, r"vae\.chanels"),
    ],
)
def test_an_unknown_key_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown key {named}.*known"):
        from_dict(values)


def test_a_config_that_is_no_object_is_refused() -> None:
    with pytest.raises(ConfigError, match="list, expected an object"):
        from_dict(json.loads('["abc"]'))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image_size": 72}, "image_size 72 is not a multiple of 32"),
        ({"vae": replace(SOUL_TEST.vae, channels=16)}, "48 differs from vae.channels 16"),
        ({"sink_distance": 3}, "sink_distance 3 must exceed window 3"),
        ({"audio": replace(SOUL_TEST.audio, out_dim=8)}, "audio.out_dim 8 differs from dit.audio_"),
        ({"text": replace(SOUL_TEST.text, dim=8)}, "text.dim 8 differs from dit.text_dim 16"),
        ({"text": replace(SOUL_TEST.text, length=8)}, "text.length 8 differs from dit.text_len 24"),
        ({"dit": replace(SOUL_TEST.dit, heads=5)}, "dit.dim 48 does not split into 5 heads"),
        ({"dit": replace(SOUL_TEST.dit, heads=16)}, "dit.dim 48 does not split into 16 heads"),
    ],
)
def test_sizes_that_cannot_be_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        replace(SOUL_TEST, **change)

"""Sizes: the presets' own figures, what cannot be, and the JSON form."""

import json
from dataclasses import replace
from typing import Any

import pytest

from soul.model.config import (
    CLIP_LATENTS,
    PRESETS,
    SOUL_5B,
    SOUL_MINI,
    SOUL_MINI_512,
    SOUL_TEST,
    ConfigError,
    SoulConfig,
    from_dict,
    in_clips,
    to_dict,
)


def test_soul_5b_has_the_sizes_of_wan() -> None:
    dit = SOUL_5B.dit
    assert (dit.dim, dit.ffn_dim, dit.layers, dit.heads) == (3072, 14336, 30, 24)
    assert (dit.latent_channels, dit.patch, dit.head_dim) == (48, 2, 128)
    assert (dit.text_len, dit.text_dim, dit.freq_dim, dit.eps) == (512, 4096, 256, 1e-6)
    assert (SOUL_5B.shift, SOUL_5B.centroids) == (5.0, 40_000)


def test_soul_mini_has_the_geometry_of_the_live_way() -> None:
    assert (SOUL_MINI.image_size, SOUL_MINI.cells, SOUL_MINI.tokens) == (256, (16, 16), 64)
    vae = SOUL_MINI.vae
    assert (vae.channels, vae.temporal, vae.spatial) == (48, 4, 16)
    assert (SOUL_MINI.steps, SOUL_MINI.window) == (2, 6)


def test_the_larger_mini_differs_by_its_pictures_alone() -> None:
    """Its weights have soul-mini's shapes; a latent has four times the tokens."""
    larger = SOUL_MINI_512
    assert (larger.image_size, larger.cells, larger.tokens) == (512, (32, 32), 256)
    same = replace(larger, name="soul-mini", image_size=256, shift=SOUL_MINI.shift)
    assert same == SOUL_MINI
    assert PRESETS["soul-mini-512"] is larger


def test_how_quiet_it_was_is_known_of_the_second_and_a_half_before() -> None:
    assert (SOUL_MINI.audio.noise_mels, SOUL_5B.audio.noise_mels) == (150, 0)
    assert SOUL_MINI.audio.past_samples == 5320 + 24_000


@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda c: c.name)
def test_a_chunk_hears_past_itself_and_half_a_mel_window(config: SoulConfig) -> None:
    audio = config.audio
    large = config.name == "soul-5b"  # 3 s of past and a Whisper's feature more ahead
    noise = 160 * audio.noise_mels  # samples in which only the quietest is heard
    past, ahead, whole = (48_200, 680, 51_440) if large else (5320 + noise, 520, 8400 + noise)
    assert (audio.past_samples, config.chunk_samples, audio.lookahead_samples) == (
        past,
        2560,
        ahead,
    )
    assert config.window_samples == whole
    assert audio.window_mels == 1 + (config.window_samples - 400) // 160


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((480, 832), 15 * 26),
        ((832, 480), 26 * 15),
        ((704, 1280), 22 * 40),
        ((1280, 704), 40 * 22),
        ((1088, 1920), 34 * 60),
        ((1920, 1088), 60 * 34),
    ],
)
def test_pictures_may_be_rectangles(size: tuple[int, int], tokens: int) -> None:
    config = replace(SOUL_5B, image_size=size)
    assert (config.height, config.width) == size
    assert config.cells == (size[0] // 16, size[1] // 16)
    assert config.rows * config.columns == config.tokens == tokens
    with pytest.raises(ConfigError, match=f"{size[0]} x {size[1]}, expected squares"):
        _ = config.side
    assert SOUL_5B.side == SOUL_5B.height == SOUL_5B.width == 512


def test_a_chunk_of_three_latents_hears_two_more() -> None:
    three = replace(SOUL_5B, chunk=3)
    assert (three.chunk_samples, three.chunk_frames) == (3 * 2560, 12)
    assert three.window_samples == SOUL_5B.window_samples + 2 * 2560


def test_the_papers_clips_are_109_frames_in_28_latents() -> None:
    config = in_clips(SOUL_5B)
    assert 1 + (CLIP_LATENTS - 1) * config.vae.temporal == 109
    assert 1 + config.overlap + config.chunk == CLIP_LATENTS == 28
    assert config.overlap == 2
    assert config.clips
    assert not SOUL_5B.clips


PACKED = replace(SOUL_TEST.dit, audio_form="packed", audio_blocks=(0, 1))
UNHEARD = replace(SOUL_TEST.dit, audio_form="none")
SHAPED = replace(SOUL_TEST, name="shaped", image_size=(64, 96), chunk=3, dit=PACKED, cue_width=0)


@pytest.mark.parametrize("config", [*PRESETS.values(), SHAPED], ids=lambda c: c.name)
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
        ({"image_size": (64, 72)}, "image_size 72 is not a multiple of 32"),
        ({"image_size": (0, 64)}, "image_size 0 is not a multiple of 32"),
        ({"image_size": (64, 64, 64)}, "neither a square's side nor height and width"),
        ({"dit": PACKED, "cue_width": 8}, "cue_width 8 does not go with dit.audio_form 'packed'"),
        ({"dit": UNHEARD, "cue_width": 8}, "cue_width 8 does not go with dit.audio_form 'none'"),
        ({"chunk": 0}, "chunk 0 is not a number of latents"),
        ({"overlap": 1}, "overlap 1 cannot be with window 3 and chunk 1"),
        ({"overlap": 2, "window": 0}, "overlap 2 cannot be with window 0 and chunk 1"),
        ({"vae": replace(SOUL_TEST.vae, channels=16)}, "48 differs from vae.channels 16"),
        ({"sink_distance": 3}, "sink_distance 3 must exceed window 3"),
        ({"audio": replace(SOUL_TEST.audio, out_dim=8)}, "audio.out_dim 8 differs from dit.audio_"),
        ({"text": replace(SOUL_TEST.text, dim=8)}, "text.dim 8 differs from dit.text_dim 16"),
        ({"text": replace(SOUL_TEST.text, length=8)}, "text.length 8 differs from dit.text_len 24"),
        ({"dit": replace(SOUL_TEST.dit, heads=5)}, "dit.dim 48 does not split into 5 heads"),
        ({"gesture_gains": (1.5,)}, r"gesture_gains \[1.5\] are not two"),
        ({"dit": replace(SOUL_TEST.dit, heads=16)}, "dit.dim 48 does not split into 16 heads"),
    ],
)
def test_sizes_that_cannot_be_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        replace(SOUL_TEST, **change)

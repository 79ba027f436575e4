"""Two listeners: a latent's own window, its four frames of it, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

import made_actor as made
from made_running import WAV2VEC
from soul.model.config import AudioConfig, ConfigError
from soul.model.wan.ears import Wav2VecEar, WhisperEar, hearing_of
from soul.model.wan.whisper import Hearing, WhisperSizes, listen, network

AUDIO = AudioConfig(past_mels=40, future_mels=5, ear="wav2vec2")  # ten pictures and one ahead
CONFIG = replace(made.CLIPS, audio=replace(AUDIO, out_dim=made.WIDTH))


def wav2vec() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Wav2Vec2Model(Wav2Vec2Config(**WAV2VEC)).eval().requires_grad_(False)


def noise(count: int, samples: int) -> Tensor:
    return torch.randn(count, samples, generator=torch.Generator().manual_seed(1)) * 0.1


def by_hand(net: Any, pcm: Tensor) -> Tensor:
    """As the public code computes a recording: features a picture, then every layer, by itself."""
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    even = extractor(pcm.numpy(), sampling_rate=16_000, return_tensors="pt").input_values
    features = net.feature_extractor(even)
    features = torch.nn.functional.interpolate(
        features, size=len(pcm) // 640, mode="linear", align_corners=True
    )
    x = net.feature_projection(features.transpose(1, 2))[0]
    x = net.encoder.layer_norm(x + net.encoder.pos_conv_embed(x))
    states = [x]
    for layer in net.encoder.layers:
        answer = layer(states[-1])
        states.append(answer[0] if isinstance(answer, tuple) else answer)
    return torch.cat((states[-1], *states), -1)


@torch.no_grad()
def test_wav2vec2_answers_with_all_its_layers_a_picture_each() -> None:
    pcm = noise(5, CONFIG.latent_samples)
    tokens = Wav2VecEar(wav2vec(), AUDIO, fps=25)(pcm)
    assert tokens.shape == (5, 4, 16 * (2 + 2))
    wanted = by_hand(wav2vec(), pcm[3, 200:-200])
    assert wanted.shape[1] == 10 + 4 + 1
    torch.testing.assert_close(tokens[3], wanted[0, 10:14], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_at_24_pictures_a_second_its_window_is_longer() -> None:
    audio = replace(AUDIO, past_mels=25, future_mels=8)  # six pictures, four, two
    config = replace(CONFIG, audio=replace(audio, out_dim=made.WIDTH), fps=24)
    ear = Wav2VecEar(wav2vec(), audio, fps=24)
    assert (ear.past, ear.net.feature_extractor.pictures) == (6, 12)
    assert config.latent_samples - 400 == 12 * 16_000 // 24
    assert ear(noise(1, config.latent_samples)).shape == (1, 4, 64)


def test_wav2vec2_hears_whole_pictures() -> None:
    for audio, fps in ((replace(AUDIO, past_mels=41), 25), (AUDIO, 24)):
        with pytest.raises(ConfigError, match="wav2vec2 hears whole ones"):
            Wav2VecEar(wav2vec(), audio, fps)


@torch.no_grad()
@pytest.mark.parametrize("rows", [False, True])
def test_a_whisper_answers_for_each_latent_alone(rows: bool) -> None:
    hearing = hearing_of(made.CLIPS.audio, 25)
    sizes = WhisperSizes(8, made.WIDTH, 16, 1, 2, hearing.positions)
    net, pcm = network(sizes), noise(5, made.CLIPS.latent_samples)
    tokens, features = WhisperEar(net, hearing, rows)(pcm), listen(net, pcm, hearing)
    if rows:
        assert tokens.shape == (5, 4, 2 * made.WIDTH)
        torch.testing.assert_close(tokens[2, 1], features[2, 2:4].flatten(), atol=1e-5, rtol=1e-5)
    else:
        torch.testing.assert_close(tokens, features, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fps", [25, 24])
def test_a_config_and_a_hearing_count_the_same_samples(fps: int) -> None:
    audio = AudioConfig(past_mels=300, future_mels=4, positions=1500)
    hearing = hearing_of(audio, fps)
    assert hearing == Hearing(past=150, lookahead=2, positions=1500, fps=fps)
    config = replace(made.CLIPS, audio=replace(audio, out_dim=made.WIDTH), fps=fps)
    assert config.audio.past_samples == hearing.past_samples
    assert config.latent_samples == hearing.window_samples
    shortest = hearing_of(replace(audio, positions=0), fps)
    assert shortest.positions == shortest.heard == 150 + (8 if fps == 25 else 9) + 2
    with pytest.raises(ConfigError, match="past_mels 301"):
        hearing_of(replace(audio, past_mels=301), fps)

"""Whisper's features: transformers' own numbers, places that fit the pictures, windows that are
cut to the sample, and what a shorter hearing costs."""

import json
from dataclasses import astuple, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from soul.model.config import ConfigError
from soul.model.load import WeightsError
from soul.model.wan.whisper import (
    SIZES,
    Hearing,
    SoundError,
    WhisperSizes,
    aligned,
    compare,
    first_alone,
    latents_of,
    listen,
    load,
    network,
    offline,
    shortened,
    streamed,
    whisper_mel,
    windows,
)

TINY = WhisperSizes(mels=80, width=16, ffn_dim=32, layers=2, heads=2, positions=150)
SHORT = Hearing(past=20, lookahead=2, positions=30)


def voice(seconds: float, seed: int = 0) -> Tensor:
    """Something that rises and falls, [n] at 16 kHz."""
    draw = torch.Generator().manual_seed(seed)
    count = round(seconds * 16_000)
    loudness = torch.rand(-(-count // 800), generator=draw).repeat_interleave(800)[:count]
    return torch.randn(count, generator=draw) * loudness.square() * 0.3


@pytest.fixture(scope="module")
def net() -> Any:
    """Weights of a size at which attention counts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = network(TINY)
        for layer in made.layers.parameters():
            layer.add_(torch.randn(layer.shape) * 0.3)
    return made


@pytest.fixture(scope="module")
def deaf() -> Any:
    """No attention and no places: a feature knows the five mel frames around it and no more."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = network(WhisperSizes(80, 16, 32, layers=0, heads=2, positions=150))
        made.embed_positions.weight.zero_()
    return made


def test_the_true_sizes_have_the_published_number_of_parameters() -> None:
    """636,968,960: two convolutions, 1500 places, 32 layers and the last norm."""
    with torch.device("meta"):
        made = network(WhisperSizes())
    w, f = 1280, 5120
    layer = 4 * w * w + 3 * w + 2 * w * f + f + w + 4 * w  # keys have no bias
    whole = 128 * w * 3 + w + w * w * 3 + w + 1500 * w + 32 * layer + 2 * w
    assert sum(p.numel() for p in made.parameters()) == whole == 636_968_960


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_the_mel_is_whispers(mels: int, seconds: float) -> None:
    sizes = WhisperSizes(mels=mels, positions=150)
    pcm = torch.stack([voice(seconds), voice(seconds, 1) * 0.01])
    extractor = WhisperFeatureExtractor(feature_size=mels, chunk_length=3)
    wanted = extractor(list(pcm.numpy()), sampling_rate=16_000, return_tensors="np").input_features
    found = whisper_mel(pcm, sizes)
    assert found.shape == (2, mels, 300)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


def test_silence_is_no_trouble() -> None:
    found = whisper_mel(torch.zeros(1, 1000), TINY)
    torch.testing.assert_close(found, torch.full((1, 80, 300), -1.5))


def test_more_than_whisper_takes_is_told(net: Any) -> None:
    with pytest.raises(SoundError, match=r"3\.5 s of sound, expected at most 3 s at once"):
        offline(net, torch.zeros(1, 56_000))


def test_offline_features_are_transformers(net: Any) -> None:
    told = dict(zip(SIZES, astuple(TINY), strict=True))
    other = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8}
    whole = WhisperModel(WhisperConfig(**told, **other, vocab_size=60_000)).eval()
    whole.encoder.load_state_dict(net.state_dict())
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=3)
    pcm = voice(2.5)
    mel = extractor(pcm.numpy(), sampling_rate=16_000, return_tensors="pt").input_features
    with torch.no_grad():
        wanted = whole.encoder(mel).last_hidden_state
    torch.testing.assert_close(offline(net, pcm[None]), wanted, atol=1e-4, rtol=0)


@given(st.integers(0, 200_000), st.sampled_from([24, 25]))
def test_latents_last_as_long_as_the_sound(samples: int, fps: int) -> None:
    latents = latents_of(samples, fps)
    frames = 1 + 4 * (latents - 1)
    assert frames * 16_000 >= samples * fps
    assert latents == 1 or (frames - 4) * 16_000 < samples * fps


def test_at_25_pictures_a_second_every_feature_is_used_once() -> None:
    features = torch.arange(40.0).view(1, 40, 1)
    found = aligned(features, 4, 25)[0, :, :, 0]
    assert found[0].tolist() == [0, 1] * 4  # the first frame alone
    assert found[1:].flatten().tolist() == list(range(2, 26))


def test_at_24_pictures_a_second_features_are_weighed() -> None:
    """Token t of 48 a second lies at 25 t / 24 of 50 a second, exact after three latents."""
    features = torch.arange(60.0).view(1, 60, 1)
    found = aligned(features, 7, 24)[0, :, :, 0]
    assert found[0].tolist() == [0, pytest.approx(25 / 24)] * 4
    wanted = torch.arange(2, 50) * 25 / 24
    torch.testing.assert_close(found[1:].flatten(), wanted)


def test_beyond_the_last_feature_the_last_goes_on() -> None:
    assert aligned(torch.arange(5.0).view(1, 5, 1), 2, 25)[0, 1, :, 0].tolist() == [
        2, 3, 4, 4, 4, 4, 4, 4,
    ]  # fmt: skip


@given(st.integers(1, 12_000), st.integers(0, 9), st.integers(0, 3), st.sampled_from([24, 25]))
def test_windows_are_cut_to_the_sample(samples: int, past: int, ahead: int, fps: int) -> None:
    hearing = Hearing(past, ahead, 30, fps)
    latents = latents_of(samples, fps)
    found = windows(torch.arange(1.0, samples + 1), latents, hearing)
    assert found.shape == (latents, 320 * hearing.heard + 240)
    for k, row in enumerate(found):
        begin = (4 * k - 3) * 16_000 // fps - 320 * past - 200
        places = torch.arange(begin, begin + len(row))
        inside = (places >= 0) & (places < samples)
        assert torch.equal(row, torch.where(inside, places + 1.0, 0.0))


def test_a_live_chunk_hears_what_the_file_does(net: Any) -> None:
    """Windows as an engine cuts them, one by one, are those of the whole."""
    pcm, short = voice(1.0), shortened(net, 30)
    latents = latents_of(len(pcm), 25)
    whole = streamed(short, pcm, latents, SHORT)
    assert whole.shape == (latents, 8, 16)
    padded = torch.cat((torch.zeros(SHORT.past_samples), pcm, torch.zeros(8000)))
    for k in range(1, latents):
        begin = (4 * k - 3) * 640
        window = padded[begin : begin + SHORT.window_samples]
        torch.testing.assert_close(listen(short, window[None], SHORT)[0], whole[k])


def test_a_latent_cannot_hear_beyond_its_window(net: Any) -> None:
    pcm, short = voice(1.0), shortened(net, 30)
    before = streamed(short, pcm, 7, SHORT)
    end = (4 * 3 - 3) * 640 - SHORT.past_samples + SHORT.window_samples  # of latent 3's window
    changed = pcm.clone()
    changed[end:] = 0.5
    after = streamed(short, changed, 7, SHORT)
    torch.testing.assert_close(after[:4], before[:4], atol=0, rtol=0)
    assert not torch.allclose(after[4], before[4], atol=1e-3)
    changed[end - 300 : end - 100] = 0.9  # within it
    assert not torch.allclose(streamed(short, changed, 7, SHORT)[3], before[3], atol=1e-4)


def test_the_first_latent_is_its_last_frame_four_times() -> None:
    tokens = torch.arange(8.0).view(1, 8, 1)
    assert first_alone(tokens).flatten().tolist() == [6, 7] * 4


def test_streamed_features_stand_where_offline_ones_do(deaf: Any) -> None:
    """Without attention nothing is lost by a short window, so they must agree place by place."""
    pcm = voice(1.6) + torch.randn(25_600, generator=torch.Generator().manual_seed(2)) * 0.01
    hearing = Hearing(past=3, lookahead=3, positions=20)
    latents = latents_of(len(pcm), 25)
    truth = aligned(offline(deaf, pcm[None]), latents, 25)[0]
    found = streamed(shortened(deaf, 20), pcm, latents, hearing)
    # The ends are left out: beyond them a stream hears silence, where Whisper mirrors.
    torch.testing.assert_close(found[1:-1], truth[1:-1], atol=1e-4, rtol=0)
    assert (found[1:-1] - truth[2:]).abs().max() > 0.1


@dataclass(frozen=True)
class Counting:
    """In an encoder's stead: each feature is its own number."""

    config: WhisperConfig
    dtype: torch.dtype = torch.float32

    def __call__(self, mel: Tensor) -> SimpleNamespace:
        numbers = torch.arange(mel.shape[-1] // 2.0).view(1, -1, 1)
        return SimpleNamespace(last_hidden_state=numbers)


@pytest.mark.parametrize("fps", [24, 25])
def test_a_latents_tokens_begin_behind_its_past(fps: int) -> None:
    hearing = Hearing(past=7, lookahead=1, positions=40, fps=fps)
    found = listen(Counting(WhisperConfig()), torch.zeros(1, hearing.window_samples), hearing)
    torch.testing.assert_close(found[0, :, 0], 7 + torch.arange(8) * 25 / fps)


def test_the_shortened_encoder_shares_its_weights(net: Any) -> None:
    short = shortened(net, 30)
    assert short.layers[0].fc1.weight.data_ptr() == net.layers[0].fc1.weight.data_ptr()
    assert torch.equal(short.embed_positions.weight, net.embed_positions.weight[:30])


def test_the_cost_is_told_for_each_length_of_context(net: Any, deaf: Any) -> None:
    pcm = voice(1.5)
    hearings = [Hearing(past, 4, 150) for past in (0, 40)] + [Hearing(10, 4, 22)]
    rows = compare(net, pcm, hearings)
    assert [(r.past, r.lookahead, r.positions) for r in rows] == [
        (0, 4, 150), (40, 4, 150), (10, 4, 22),
    ]  # fmt: skip
    assert all(row.relative > 0.01 and row.largest > 0.01 and row.cosine < 1 for row in rows)
    without = compare(deaf, pcm, hearings[1:2])[0]
    assert without.relative < rows[1].relative


def test_a_window_of_another_length_is_told(net: Any) -> None:
    with pytest.raises(SoundError, match="hears 9840 samples, got 9000"):
        listen(net, torch.zeros(1, 9000), SHORT)


def test_sizes_that_cannot_be_are_told() -> None:
    with pytest.raises(ConfigError, match="positions 20 cannot hold the 30"):
        Hearing(past=20, lookahead=2, positions=20)
    with pytest.raises(ConfigError, match="past -1"):
        Hearing(past=-1)


def written(folder: Path, net: Any) -> Path:
    """`net` as the encoder of a Whisper in `folder`."""
    tensors = {f"model.encoder.{name}": t.clone() for name, t in net.state_dict().items()}
    save_file({**tensors, "model.decoder.x": torch.zeros(1)}, folder / "model.safetensors")
    told = dict(zip(SIZES, astuple(TINY), strict=True))
    (folder / "config.json").write_text(json.dumps({**told, "decoder_layers": 7}))
    return folder


def test_weights_are_read_as_openai_publishes_them(net: Any, tmp_path: Path) -> None:
    found = load(written(tmp_path, net))
    pcm = voice(1.0)[None]
    torch.testing.assert_close(offline(found, pcm), offline(net, pcm))


def test_weights_that_are_missing_or_broken_are_told(net: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no Whisper at"):
        load(tmp_path)
    written(tmp_path, net)
    told = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**told, "d_model": 32}))
    with pytest.raises(WeightsError, match=r"has shape .*, expected"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match="holds no whole Whisper: KeyError"):
        load(tmp_path)
    written(tmp_path, net)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(WeightsError, match="holds no whole Whisper: SafetensorError"):
        load(tmp_path)

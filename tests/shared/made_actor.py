"""A tiny large model of random weights, its parts at hand; no files."""

from dataclasses import replace
from typing import Any

import torch

from soul.model.codebook import Codebook
from soul.model.config import AudioConfig, DiTConfig, SoulConfig, TextConfig
from soul.model.dit import DiT
from soul.model.wan.actor import Scribe, WanSoul
from soul.model.wan.codec import FullCodec
from soul.model.wan.ears import WhisperEar, hearing_of
from soul.model.wan.vae import WanVae, WanVaeConfig
from soul.model.wan.whisper import WhisperSizes, network

WORDS, TEXT_DIM, WIDTH = 6, 8, 32
PROMPTS = ("", "calm", "glad")
CLIPS = SoulConfig(
    name="tiny-wan",
    image_size=(64, 96),
    dit=DiTConfig(
        dim=48,
        ffn_dim=64,
        layers=2,
        heads=2,
        text_len=WORDS,
        text_dim=TEXT_DIM,
        audio_dim=WIDTH,
        freq_dim=8,
    ),
    audio=AudioConfig(mels=8, past_mels=8, future_mels=4, width=WIDTH, out_dim=WIDTH),
    text=TextConfig(length=WORDS, dim=TEXT_DIM),
    chunk=3,
    window=0,
    overlap=1,
    steps=2,
    shift=5.0,
    solver="unipc",
)
STREAM = replace(CLIPS, chunk=1, overlap=0, window=2, sink_distance=4)


def actor(config: SoulConfig = CLIPS, device: str = "cpu", **dit: Any) -> WanSoul:
    """A model of `config`, its transformer's sizes changed by `dit`; on `meta` without numbers."""
    config = replace(config, dit=replace(config.dit, **dit))
    hearing = hearing_of(config.audio, config.fps)
    sizes = WhisperSizes(
        mels=config.audio.mels,
        width=WIDTH,
        ffn_dim=16,
        layers=1,
        heads=2,
        positions=hearing.positions,
    )
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(0)
        vae = WanVae(WanVaeConfig(encoder_width=4, decoder_width=4))
        ear = WhisperEar(network(sizes), hearing, config.dit.audio_form == "packed")
        parts = DiT(config.dit), vae, FullCodec(vae), ear
        codebook = Codebook(1, config.vae.channels)
    model = WanSoul(config, *parts, Scribe(None), codebook)
    draw = torch.Generator().manual_seed(1)
    model.scribe.held = {p: torch.randn(WORDS, TEXT_DIM, generator=draw) for p in PROMPTS}
    return model.eval().requires_grad_(False)

"""A tiny model that really runs: official layout, through the converter, with a Whisper beside it.

Every weight is random; only its pictures' sizes and its sight are told smaller than the 5B's.
"""

import json
import shutil
import wave
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import Wav2Vec2Config, Wav2Vec2Model

import made_checkpoints as made
from made_tokenizer import VOCABULARY, save_tokenizer
from soul.checkpoints.convert import Options, convert
from soul.checkpoints.families import Family, VaeSizes, dit_shapes, vae_shapes
from soul.checkpoints.layout import open_part
from soul.checkpoints.modules import with_audio
from soul.checkpoints.names import text_from_official
from soul.checkpoints.parts import DIT
from soul.model.config import DiTConfig
from soul.model.load import read_config
from soul.model.wan.text import Umt5Sizes
from soul.model.wan.whisper import PREFIX, SIZES, WhisperSizes, network
from soul.training.tune.export import write_model
from soul.training.tune.settings import LoraConfig

FAMILY = Family(
    "tiny",
    DiTConfig(dim=48, ffn_dim=64, layers=2, heads=2, text_dim=16, audio_dim=32, freq_dim=8),
    VaeSizes(encoder_width=4, decoder_width=4),
    Umt5Sizes(vocabulary=VOCABULARY, dim=16, head_dim=4, heads=4, ffn_dim=24, layers=2),
)
WHISPER = WhisperSizes(mels=8, width=32, ffn_dim=16, layers=1, heads=2, positions=64)
SIGHT = {"mels": 8, "past_mels": 8, "future_mels": 4, "positions": 0, "width": 32, "out_dim": 32}
CLIPS = {"window": 0, "chunk": 3, "overlap": 1, "steps": 2, "guidance": 2.0, "image_size": [64, 96]}
STREAM = {"chunk": 1, "overlap": 0, "window": 2, "sink_distance": 4}


def save_whisper(folder: Path, sizes: WhisperSizes = WHISPER) -> None:
    """An encoder as openai/whisper-large-v3 lies."""
    folder.mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        net = network(sizes)
    told = dict(zip(SIZES, astuple(sizes), strict=True))
    (folder / "config.json").write_text(json.dumps(told))
    weights = {f"{PREFIX}{name}": value.contiguous() for name, value in net.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


def retold(folder: Path, **changes: Any) -> None:
    """Other values in the folder's config."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def converted(folder: Path) -> Path:
    """A folder that `soul convert` wrote, in clips of three new latents; and its Whisper."""
    source = made.official(folder / "source", FAMILY)
    save_tokenizer(source / "google" / "umt5-xxl")
    convert(source, folder / "soul", Options(kind=torch.float32, families=(FAMILY,)))
    retold(folder / "soul", audio=SIGHT, **CLIPS)
    save_whisper(folder / "soul" / "whisper")
    return folder / "soul"


def taught(source: Path, out: Path) -> Path:
    """The folder `source` as `soul tune` leaves it: its layers hear, as they began to."""
    config, base = read_config(source), open_part(source, DIT)
    learned = {name: entry.read() for name, entry in with_audio(base, config.dit).items()}
    write_model(source, out, learned, config, LoraConfig(), torch.float32)
    shutil.copytree(source / "whisper", out / "whisper")
    return out


AVATAR = Family(
    "tiny-avatar",
    DiTConfig(dim=48, ffn_dim=64, layers=6, heads=2, latent_channels=16, text_dim=16, freq_dim=8),
    VaeSizes(encoder_width=4, decoder_width=4, channels=16, patch=None, spatial=8),
    FAMILY.text,
    fps=16,
    heard_fps=25,
    tells_given=False,
)
WAV2VEC: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
FEATURES = 16 * (2 + 2)


def avatar(folder: Path) -> Path:
    """A checkpoint of OmniAvatar's kind, converted: packed wav2vec2, conditions, Wan2.1's VAE."""
    source, dim = folder / "source", AVATAR.dit.dim
    source.mkdir(parents=True)
    shapes = dit_shapes(AVATAR.dit, audio=False)
    shapes |= {
        "patch_embedding.weight": (dim, 2 * 16 + 1, 1, 2, 2),
        "audio_proj.proj.weight": (32, 4 * FEATURES),
        "audio_proj.proj.bias": (32,),
        "audio_proj.norm_out.weight": (32,),
        "audio_proj.norm_out.bias": (32,),
    }
    for number in range(2):  # before blocks 2 and 3, of 6
        layer = f"audio_cond_projs.{number}"
        shapes |= {f"{layer}.weight": (dim, 32), f"{layer}.bias": (dim,)}
    save_file(made.drawn(shapes, 5), source / "model.safetensors")
    (source / "vae").mkdir()
    save_file(made.drawn(vae_shapes(AVATAR.vae), 6), source / "vae" / "model.safetensors")
    text = made.text_tensors(family=AVATAR)
    made.renamed_to(text, text_from_official, source / "text_encoder" / "model")
    save_tokenizer(source / "tokenizer")
    out = folder / "avatar"
    convert(source, out, Options(kind=torch.float32, families=(AVATAR,)))
    sight = {"past_mels": 8, "future_mels": 5, "out_dim": FEATURES, "ear": "wav2vec2"}
    retold(out, audio=sight, chunk=3, overlap=1, steps=2, image_size=[32, 48])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        Wav2Vec2Model(Wav2Vec2Config(**WAV2VEC)).save_pretrained(out / "wav2vec2")
    return out


def face(path: Path) -> Path:
    """A picture that is not the same everywhere."""
    pixels = np.random.default_rng(1).integers(0, 256, (70, 100, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def speech(path: Path, seconds: float) -> Path:
    """Noise as loud as a voice, 16 kHz."""
    noise = np.random.default_rng(2).normal(0, 3000, int(seconds * 16_000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(noise.tobytes())
    return path

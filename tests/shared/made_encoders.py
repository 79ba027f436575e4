"""Tiny encoders on disk: a VAE and a umT5 in a folder of this project's layout, and a Whisper."""

import json
from pathlib import Path

import torch
from torch import nn

from made_running import save_whisper
from made_tokenizer import VOCABULARY, save_tokenizer
from made_tuning import TINY, dit_tensors
from soul.checkpoints.layout import finish, whole, write_part
from soul.checkpoints.manifest import Manifest, Origin, described
from soul.checkpoints.parts import DIT, TEXT, TOKENIZER, VAE
from soul.checkpoints.sources import Tensors, held
from soul.model.config import to_dict
from soul.model.load import CONFIG
from soul.model.wan import text, whisper
from soul.model.wan.vae import WanVae, WanVaeConfig

WORDS = text.Umt5Sizes(
    vocabulary=VOCABULARY, dim=16, ffn_dim=24, layers=2, heads=4, head_dim=4, buckets=8, length=6
)
EAR = whisper.WhisperSizes(mels=80, width=16, ffn_dim=16, layers=1, heads=2, positions=40)


def tensors_of(module: nn.Module) -> Tensors:
    """Random, and of a size that counts; without the tied copy of the words' table."""
    found = {}
    for name, value in module.state_dict().items():
        if name != "encoder.embed_tokens.weight":
            found[name] = held(0.1 * torch.randn(value.shape) + (value.dim() == 1))
    return found


def made_whole_model(folder: Path) -> Path:
    """A transformer, a VAE, a text encoder and its tokenizer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with torch.device("meta"):
            vae, net = WanVae(WanVaeConfig(encoder_width=4, decoder_width=4)), text.network(WORDS)
        tensors = {DIT: dit_tensors(), VAE: tensors_of(vae), TEXT: tensors_of(net)}
    with whole(folder) as work:
        parts = {part: write_part(work, part, found) for part, found in tensors.items()}
        save_tokenizer(work / TOKENIZER)
        names = sorted(path.name for path in (work / TOKENIZER).iterdir())
        parts[TOKENIZER] = tuple(described(work, f"{TOKENIZER}/{name}") for name in names)
        (work / CONFIG).write_text(json.dumps(to_dict(TINY)))
        files = (described(work, CONFIG), *(f for some in parts.values() for f in some))
        paths = {part: tuple(file.path for file in some) for part, some in parts.items()}
        finish(work, Manifest("tiny", (Origin("made"),), files, paths))
    return folder


def made_whisper(folder: Path) -> Path:
    """An encoder as openai/whisper-large-v3 lies."""
    save_whisper(folder, EAR)
    return folder

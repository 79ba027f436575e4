"""The encoders of stage `encode`: Wan's VAE and umT5 out of a model's folder, and a Whisper's.

Opens parts and hands them over as functions of tensors. It knows no shards.
"""

import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from soul.checkpoints.layout import load_part, open_part
from soul.checkpoints.parts import TEXT, TOKENIZER, VAE
from soul.checkpoints.sources import CheckpointError, Tensors
from soul.model.config import SoulConfig
from soul.model.wan import text, whisper
from soul.model.wan.vae import WanVae, WanVaeConfig
from soul.training.tune.encode import Encoders
from soul.training.tune.settings import EncodeConfig, TuneError

TIED = "encoder.embed_tokens.weight"  # umT5's copy of `shared.weight`


def open_encoders(
    folder: Path, ear: Path, config: SoulConfig, how: EncodeConfig, device: torch.device
) -> Encoders:
    """Raises CheckpointError, WeightsError or TuneError, one sentence, for what is not whole.

    VAE and Whisper compute in float32; umT5 in what its file holds, and it is opened when words are
    to be encoded.
    """
    vae, hear = open_vae(folder, device), open_ear(ear, config, how, device)
    say = cache(partial(open_words, folder, config, device))  # one process alone encodes words

    def film(pictures: Tensor) -> Tensor:
        return vae.encode(pictures.to(device).unsqueeze(0))[0]

    def still(pictures: Tensor) -> Tensor:
        return torch.cat([vae.still(one.to(device)) for one in pictures.split(1)])

    def sound(pcm: Tensor, latents: int) -> Tensor:
        return whisper.streamed(hear, pcm.to(device), latents, hearing_of(how))

    def words(prompt: str) -> Tensor:
        _, real = say().tokenizer([prompt])
        return say().encode([prompt])[0, : int(real.sum())]

    return Encoders(film, still, sound, words)


def hearing_of(how: EncodeConfig) -> whisper.Hearing:
    return whisper.Hearing(how.past, how.lookahead, how.positions)


def open_vae(folder: Path, device: torch.device) -> WanVae:
    """The VAE of `folder`; its widths are read off the tensors."""
    found = {name: entry.shape for name, entry in open_part(folder, VAE).items()}
    try:
        sizes = WanVaeConfig(
            encoder_width=found["encoder.conv_in.weight"][0],
            decoder_width=found["decoder.conv_out.weight"][1],
        )
    except KeyError as error:
        raise CheckpointError(f"{folder}: {VAE} is not Wan2.2's: it lacks {error}") from None
    with torch.device("meta"):
        vae = WanVae(sizes)
    load_part(vae, folder, VAE, str(device), torch.float32)
    return vae.eval().requires_grad_(False)


def open_ear(ear: Path, config: SoulConfig, how: EncodeConfig, device: torch.device) -> Any:
    """The Whisper in the folder `ear`; TuneError if the model does not hear such features."""
    net = whisper.load(ear, str(device))
    width = whisper.sizes_of(net).width
    if width != config.dit.audio_dim:
        raise TuneError(
            f"the Whisper in {ear} has features of {width}, and the model hears "
            f"{config.dit.audio_dim}; expected the same, whisper-large-v3's for soul-5b"
        )
    return whisper.shortened(net, how.positions)


def open_words(folder: Path, config: SoulConfig, device: torch.device) -> text.PromptEncoder:
    """Tokenizer and encoder of `folder`; TuneError if there is no tokenizer."""
    entries = open_part(folder, TEXT)
    sizes = text_sizes(entries, config, folder)
    with torch.device("meta"):
        net: nn.Module = text.network(sizes)
    kind = entries["shared.weight"].dtype
    load_part(net, folder, TEXT, str(device), kind, lambda name: name == TIED)
    net.encoder.embed_tokens.weight = net.shared.weight  # type: ignore[union-attr]
    try:
        tokenizer = text.Tokenizer(folder / TOKENIZER, sizes)
    except text.TextError as error:
        raise TuneError(str(error)) from None
    return text.PromptEncoder(tokenizer, net.eval().requires_grad_(False))


def text_sizes(entries: Tensors, config: SoulConfig, folder: Path) -> text.Umt5Sizes:
    """Read off the tensors; CheckpointError if one that tells of a size is not there."""
    first = "encoder.block.0.layer"
    try:
        words = entries["shared.weight"].shape
        bias = entries[f"{first}.0.SelfAttention.relative_attention_bias.weight"].shape
        query = entries[f"{first}.0.SelfAttention.q.weight"].shape
        inward = entries[f"{first}.1.DenseReluDense.wi_0.weight"].shape
    except KeyError as error:
        raise CheckpointError(f"{folder}: {TEXT} is not umT5's: it lacks {error}") from None
    numbers = [re.match(r"encoder\.block\.(\d+)\.", name) for name in entries]
    return text.Umt5Sizes(
        vocabulary=words[0],
        dim=words[1],
        ffn_dim=inward[0],
        layers=1 + max(int(number[1]) for number in numbers if number),
        heads=bias[1],
        head_dim=query[0] // bias[1],
        buckets=bias[0],
        length=config.dit.text_len,
    )

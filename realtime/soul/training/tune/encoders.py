"""The encoders of stage `encode`: Wan's VAE and umT5 out of a model's folder, and a Whisper's.

Opens parts and hands them over as functions of tensors. Sound is heard as the model will hear it
when it serves. It knows no shards.
"""

from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from soul.checkpoints.modules import open_text, open_vae
from soul.checkpoints.running import check_ear, loaded_whisper
from soul.model.config import SoulConfig
from soul.model.wan.text import PromptEncoder, TextError
from soul.model.wan.whisper import streamed
from soul.training.tune.encode import Encoders
from soul.training.tune.settings import TuneError


def open_encoders(folder: Path, ear: Path, config: SoulConfig, device: torch.device) -> Encoders:
    """Raises CheckpointError, WeightsError or TuneError, one sentence, for what is not whole.

    VAE and Whisper compute in float32; umT5 in what its file holds, and it is opened when words are
    to be encoded.
    """
    check_ear(config, folder, ear)
    vae = open_vae(folder, str(device))
    hearer = loaded_whisper(config, ear, str(device), torch.float32)
    say = cache(partial(open_words, folder, config, device))  # one process alone encodes words

    def film(pictures: Tensor) -> Tensor:
        return vae.encode(pictures.to(device).unsqueeze(0))[0]

    def still(pictures: Tensor) -> Tensor:
        return torch.cat([vae.still(one.to(device)) for one in pictures.split(1)])

    def sound(pcm: Tensor, latents: int) -> Tensor:
        return streamed(hearer.net, pcm.to(device), latents, hearer.hearing)

    def words(prompt: str) -> Tensor:
        _, real = say().tokenizer([prompt])
        return say().encode([prompt])[0, : int(real.sum())]

    return Encoders(film, still, sound, words)


def open_words(folder: Path, config: SoulConfig, device: torch.device) -> PromptEncoder:
    """Tokenizer and encoder of `folder`; TuneError if there is no tokenizer."""
    try:
        return open_text(folder, config.text.length, str(device))
    except TextError as error:
        raise TuneError(str(error)) from None

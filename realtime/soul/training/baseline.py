"""What distillation is measured against: the teacher with many guided steps and the full decoder.

A run of `soul train` leaves it for `soul bench recipe`; nothing that serves reads it.
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from soul.model.load import WeightsError, check, on_disk, ready
from soul.model.sample import Soul, StreamState, commit, decode, draw_noise, listen, sigmas
from soul.model.vae import Decoder, full_decoder
from soul.model.window import gather
from soul.training.diffusion import Guidance, guide, learned, silence


def parts(teacher: Soul, decoder: Decoder) -> nn.ModuleDict:
    """What the file holds; the rest is the student's, too."""
    return nn.ModuleDict({"learned": learned(teacher), "decoder": decoder})


def save_baseline(teacher: Soul, decoder: Decoder, path: Path) -> None:
    """Write the teacher's own weights and the full decoder, in half precision."""
    save_file(on_disk(parts(teacher, decoder)), path)


def load_baseline(student: Soul, path: Path) -> Soul:
    """The teacher of `student`, with the full decoder. WeightsError says what is wrong."""
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {error}") from None
    teacher = deepcopy(student)
    teacher.decoder = full_decoder(student.config.vae)
    own = parts(teacher, teacher.decoder)
    check(own.state_dict(), found, path)
    own.load_state_dict({name: value.float() for name, value in found.items()})
    return ready(teacher.to(student.device))


def advance_guided(
    teacher: Soul, states: Sequence[StreamState], pcm: Tensor, steps: int, scale: float
) -> Tensor:
    """`soul.model.sample.advance` with guidance: two passes a step. → [B, 4, H, W, 3] uint8."""
    audio = listen(teacher, states, pcm)
    noise = torch.cat([draw_noise(teacher, state) for state in states]).squeeze(2)
    words = torch.stack([state.words for state in states])
    past = gather([state.window for state in states], teacher.config)
    guidance = Guidance(scale, silence(teacher, len(states)))
    levels = sigmas(steps, teacher.config.shift)
    latents = guide(teacher, noise, levels, words, audio.squeeze(1), past, guidance).unsqueeze(2)
    pictures = decode(teacher, states, latents)
    commit(teacher, states, latents, audio)
    return pictures

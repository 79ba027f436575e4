"""What denoising costs, counted by torch's own counter over tensors that hold no numbers.

Products and attentions alone, a multiplication and an addition counting as two, as model FLOPs
utilization counts them (PaLM, arXiv 2204.02311, appendix B). It knows no clock and no device.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from soul.model.config import DEAF, SoulConfig
from soul.model.dit import DiT
from soul.model.window import Context, empty_window, gather


def passes_a_step(config: SoulConfig) -> int:
    """Passes of the DiT in one step of the solver: one, and more for guidance.

    See `soul.model.wan.actor.WanSoul.answer`.
    """
    by_words, by_sound = config.guidance, config.audio_guidance
    if by_words == by_sound == 1:
        return 1
    return 2 if 1 in (by_words, by_sound) or by_words == by_sound else 3


def pass_flops(config: SoulConfig, heard: int) -> int:
    """Floating-point operations of one pass over one chunk of one stream, which hears `heard`
    tokens a latent; with a full window, or of a clip that follows another.
    """
    dit, meta = config.dit, torch.device("meta")
    own = config.chunk + config.overlap
    latents = own + 1 if config.clips else own  # a clip has its pivotal latent before it
    with meta:
        model = DiT(dit)
        channels = dit.latent_channels + dit.condition_channels
        latent = torch.empty(1, channels, latents, *config.cells)
        words = torch.empty(1, dit.text_len, dit.text_dim)
        sound = None if dit.audio_form == DEAF else torch.empty(1, own, heard, dit.audio_dim)
    with FlopCounterMode(display=False) as counter:
        model(latent, torch.zeros(1, device=meta), words, sound, full_window(config, meta))
    return int(counter.get_total_flops())


def full_window(config: SoulConfig, device: torch.device) -> Context | None:
    """What a stream sees once it has gone on for longer than its window; of clips nothing."""
    if config.clips:
        return None
    window = empty_window(config, device, torch.float32)
    window.written = config.window
    return gather([window], config)

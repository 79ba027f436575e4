"""What a large model hears with: a latent's window of sound → its audio tokens.

Two listeners behind one form: Whisper, Soul's own, and wav2vec2, which public audio-driven
checkpoints hear. Each latent is computed from its own window, so a stream and a file are the same
by construction. The encoders are transformers'. Knows no files and no transformer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soul.model.config import AudioConfig, ConfigError
from soul.model.wan.whisper import STRIDE, Hearing, listen
from soul.timebase import AUDIO_RATE, FRAMES_PER_LATENT, MEL_HOP, MEL_WINDOW

LATENTS_AT_ONCE = 4  # that are heard: an encoder's own activations are larger than its answers
SILENT = 1e-7  # beside the variance, as transformers' Wav2Vec2FeatureExtractor has it


def hearing_of(audio: AudioConfig, fps: int) -> Hearing:
    """What `audio` tells a Whisper to hear; ConfigError if it is no whole number of its features.

    `AudioConfig` counts mel frames and `Hearing` features, two of them each.
    """
    if audio.past_mels % STRIDE or audio.future_mels % STRIDE:
        raise ConfigError(
            f"past_mels {audio.past_mels} and future_mels {audio.future_mels} do not make whole "
            f"features of {STRIDE} mel frames each"
        )
    past, ahead = audio.past_mels // STRIDE, audio.future_mels // STRIDE
    shortest = Hearing(past, ahead, positions=2**31, fps=fps).heard
    return Hearing(past, ahead, audio.positions or shortest, fps)


class WhisperEar(nn.Module):
    """[n, latent_samples] → Whisper's features [n, 8, width], or [n, 4, 2 width]: a frame a row."""

    def __init__(self, net: Any, hearing: Hearing, rows: bool) -> None:
        """`net` is transformers' `WhisperEncoder` with as many positions as `hearing` says."""
        super().__init__()
        self.net = net
        self.hearing = hearing
        self.rows = rows

    def forward(self, pcm: Tensor) -> Tensor:
        heard = [listen(self.net, part, self.hearing) for part in pcm.split(LATENTS_AT_ONCE)]
        tokens = torch.cat(heard)
        return tokens.unflatten(1, (FRAMES_PER_LATENT, -1)).flatten(2) if self.rows else tokens


class Paced(nn.Module):
    """wav2vec2's convolutions, their features moved to one a picture, as OmniAvatar has it."""

    def __init__(self, inner: nn.Module, pictures: int) -> None:
        super().__init__()
        self.inner = inner
        self.pictures = pictures

    def forward(self, pcm: Tensor) -> Tensor:
        """[n, samples] → [n, channels, pictures]."""
        return F.interpolate(self.inner(pcm), self.pictures, mode="linear", align_corners=True)


class Wav2VecEar(nn.Module):
    """[n, latent_samples] → all of wav2vec2's layers, the last one first: [n, 4, (2 + layers) · w].

    Public code hears the whole recording at once; here a latent hears its own window.
    """

    def __init__(self, net: Any, audio: AudioConfig, fps: int) -> None:
        """`net` is transformers' `Wav2Vec2Model`; ConfigError if a window holds parts of pictures.

        Half a mel window on either side is Whisper's alone, and is left out.
        """
        super().__init__()
        pair = STRIDE * MEL_HOP
        own = -(-FRAMES_PER_LATENT * AUDIO_RATE // (fps * pair)) * pair
        past, rest = divmod(audio.past_mels * MEL_HOP * fps, AUDIO_RATE)
        ahead, more = divmod((own + (audio.future_mels - 1) * MEL_HOP) * fps, AUDIO_RATE)
        if rest or more:
            raise ConfigError(
                f"past_mels {audio.past_mels} and future_mels {audio.future_mels} at {fps} "
                "pictures a second leave parts of one; wav2vec2 hears whole ones"
            )
        self.past = past
        net.feature_extractor = Paced(net.feature_extractor, past + ahead)
        self.net = net

    def forward(self, pcm: Tensor) -> Tensor:
        return torch.cat([self.heard(part) for part in pcm.split(LATENTS_AT_ONCE)])

    def heard(self, pcm: Tensor) -> Tensor:
        """As many latents as go through at once."""
        half = MEL_WINDOW // 2
        sound = pcm[:, half:-half]
        variance, mean = torch.var_mean(sound, -1, correction=0, keepdim=True)
        even = (sound - mean) / torch.sqrt(variance + SILENT)
        found = self.net(even.to(self.net.dtype), output_hidden_states=True)
        layers = torch.cat((found.last_hidden_state, *found.hidden_states), -1)
        return layers[:, self.past : self.past + FRAMES_PER_LATENT]

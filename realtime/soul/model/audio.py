"""Sound → audio tokens: Whisper's log-mel over exactly what a chunk may hear, and a small encoder.

Every chunk is computed from its own window of samples, so a stream and a file are the same by
construction. Whisper's dynamic range is relative to the loudest frame of 30 s, which a stream does
not know; here it is relative to a fixed ceiling. Nothing here knows of a microphone.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soul.model.config import AudioConfig
from soul.timebase import AUDIO_RATE, MEL_HOP, MEL_WINDOW

CEILING = 1.5  # log10 power that counts as loudest; Whisper's range of 8 decades hangs from it
RANGE = 8.0


def hz_to_mel(hz: float) -> float:
    """Slaney's scale, as Whisper's filters use: linear below 1 kHz, logarithmic above."""
    return hz * 3 / 200 if hz < 1000 else 15 + math.log(hz / 1000) * 27 / math.log(6.4)


def mel_to_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)


@lru_cache(maxsize=4)
def mel_filters(mels: int) -> Tensor:
    """Slaney-normalised triangles [mels, 201] over the bins of a 400-sample transform."""
    bins = np.linspace(0, AUDIO_RATE / 2, MEL_WINDOW // 2 + 1)
    edges = [mel_to_hz(m) for m in np.linspace(0, hz_to_mel(AUDIO_RATE / 2), mels + 2)]
    filters = np.zeros((mels, len(bins)))
    for i, (low, centre, high) in enumerate(zip(edges[:-2], edges[1:-1], edges[2:], strict=True)):
        rise, fall = (bins - low) / (centre - low), (high - bins) / (high - centre)
        filters[i] = np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)
    return torch.from_numpy(filters).float()


def mel_level(pcm: Tensor, mels: int) -> Tensor:
    """`pcm` [B, n] at 16 kHz → log10 of the power in each band [B, mels, 1 + (n − 400) / 160]."""
    window = torch.hann_window(MEL_WINDOW, device=pcm.device)
    spectrum = torch.stft(pcm, MEL_WINDOW, MEL_HOP, window=window, center=False,
                          return_complex=True)  # fmt: skip
    power = mel_filters(mels).to(pcm.device) @ spectrum.abs().square()
    return power.clamp_min(1e-10).log10()


def scaled(level: Tensor, ceiling: Tensor | float) -> Tensor:
    """Whisper's scaling of `mel_level` (about −1..1): eight decades, hung from `ceiling`."""
    return (level.clamp_min(ceiling - RANGE) + 4) / 4


def log_mel(pcm: Tensor, mels: int) -> Tensor:
    """`pcm` [B, n] at 16 kHz → [B, mels, 1 + (n − 400) / 160], scaled under a fixed ceiling."""
    return scaled(mel_level(pcm, mels), CEILING)


def quietest(mel: Tensor) -> Tensor:
    """`mel` [B, mels, n] → the lowest level of each band, held for 80 ms: [B, mels, 1].

    What a microphone hisses between two sounds is the room's, not a voice's (the idea of minimum
    statistics: Martin 2001).
    """
    return F.avg_pool1d(mel, 8, 4).amin(-1, keepdim=True)


class AudioEncoder(nn.Module):
    """[B, window_samples] → tokens [B, n, out_dim]; sees its own window and nothing else.

    With `noise_mels` every level is heard twice: as it is, and above what is always there.
    """

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        w = config.width
        self.mels = config.mels
        self.noise_mels = config.noise_mels
        self.conv1 = nn.Conv1d(config.mels * (2 if config.noise_mels else 1), w, 3, padding=1)
        self.conv2 = nn.Conv1d(w, w, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(w, w, 3, padding=1)
        self.conv4 = nn.Conv1d(w, w, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(w)
        self.out = nn.Linear(w, config.out_dim)
        self.tokens = config.tokens
        self.place = nn.Parameter(torch.randn(self.tokens, w) * 0.02)

    def forward(self, pcm: Tensor) -> Tensor:
        return self.encode(log_mel(pcm, self.mels))

    def encode(self, mel: Tensor) -> Tensor:
        """[B, mels, window_mels] → [B, n, out_dim]."""
        if self.noise_mels:
            own = mel[..., self.noise_mels :]
            mel = torch.cat((own, own - quietest(mel)), 1)
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel))))
        x = F.gelu(self.conv4(x + F.gelu(self.conv3(x)))).transpose(1, 2)
        return self.out(self.norm(x + self.place))  # type: ignore[no-any-return]


def windows(pcm: Tensor, past: int, chunk: int, lookahead: int) -> Tensor:
    """All chunks' windows of a whole recording [n] → [chunks, past + chunk + lookahead].

    The last chunk is filled up with silence; so is the time before the first sample.
    """
    chunks = -(-len(pcm) // chunk)
    padded = F.pad(pcm, (past, chunks * chunk - len(pcm) + lookahead))
    return padded.unfold(0, past + chunk + lookahead, chunk)

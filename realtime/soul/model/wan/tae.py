"""The light codec taew2_2 (github.com/madebyollin/taehv, MIT): Wan 2.2's latent space, cheaply.

Two stacks of 3 x 3 convolutions; time is known only to the layers that look one frame back and to
those that join or split frames. Parameters are named as in `taew2_2.safetensors`, which loads as it
is. Reads and writes latents as the DiT has them: neither mean nor deviation is taken out. What a
stream remembers lies apart from the weights. Knows no files and no devices.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soul.timebase import FRAMES_PER_LATENT

CLAMP = 3.0  # latents beyond it are bent back before they are decoded


@dataclass(frozen=True, slots=True)
class TaeConfig:
    """Sizes; the defaults are those of the published weights."""

    channels: int = 48  # of a latent
    patch: int = 2  # pixels a side that become channels at once
    encoder_width: int = 64
    decoder_widths: tuple[int, ...] = (256, 128, 64, 64)  # coarse to fine
    joined: tuple[int, ...] = (2, 2, 1)  # frames that each of the encoder's stages makes one
    split: tuple[int, ...] = (1, 2, 2)  # frames that each of the decoder's stages makes of one
    memories: int = 3  # layers a stage that look one frame back


@dataclass(slots=True)
class TaeStream:
    """What one direction of one stream remembers: by layer, the last frame that it was given."""

    pasts: dict[int, Tensor] = field(default_factory=dict)
    begun: bool = False


def conv(given: int, out: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(given, out, 3, stride, padding=1, bias=bias)


class Memory(nn.Module):
    """A residual block that sees a frame and the one before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            conv(2 * width, width), nn.ReLU(), conv(width, width), nn.ReLU(), conv(width, width)
        )

    def forward(self, x: Tensor, past: Tensor | None) -> Tensor:
        """[B, T, C, H, W] and the frame before, [B, C, H, W] or None for an empty one."""
        first = torch.zeros_like(x[:, 0]) if past is None else past
        before = torch.cat((first.unsqueeze(1), x[:, :-1]), 1)
        pair = torch.cat((x, before), 2).flatten(0, 1)
        return F.relu(self.conv(pair).view(x.shape) + x)


class Join(nn.Module):
    """`count` frames that follow each other → one; [B·T, C, H, W] → [B·T/count, C, H, W]."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width * count, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.reshape(-1, self.conv.in_channels, *x.shape[2:]))  # type: ignore[no-any-return]


class Split(nn.Module):
    """One frame → `count`; [B·T, C, H, W] → [B·T·count, C, H, W]."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * count, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).reshape(-1, *x.shape[1:])  # type: ignore[no-any-return]


class Clamp(nn.Module):
    """Bends values into [-CLAMP, CLAMP]."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / CLAMP) * CLAMP


def new_encoder(config: TaeConfig) -> nn.Sequential:
    """The layers in the order, and so with the numbers, that the published weights name."""
    width = config.encoder_width
    layers: list[nn.Module] = [conv(3 * config.patch**2, width), nn.ReLU()]
    for count in config.joined:
        layers += [Join(width, count), conv(width, width, stride=2, bias=False)]
        layers += [Memory(width) for _ in range(config.memories)]
    return nn.Sequential(*layers, conv(width, config.channels))


def new_decoder(config: TaeConfig) -> nn.Sequential:
    """See `new_encoder`."""
    widths = config.decoder_widths
    layers: list[nn.Module] = [Clamp(), conv(config.channels, widths[0]), nn.ReLU()]
    for count, (width, finer) in zip(config.split, pairwise(widths), strict=True):
        layers += [Memory(width) for _ in range(config.memories)]
        layers += [nn.Upsample(scale_factor=2), Split(width, count)]
        layers += [conv(width, finer, bias=False)]
    return nn.Sequential(*layers, nn.ReLU(), conv(widths[-1], 3 * config.patch**2))


def run(layers: nn.Sequential, x: Tensor, stream: TaeStream) -> Tensor:
    """[B, T, C, H, W] → the same, of other sizes; the stream's memory moves on."""
    batch, x = len(x), x.flatten(0, 1)
    for number, layer in enumerate(layers):
        if isinstance(layer, Memory):
            frames = x.unflatten(0, (batch, -1))
            x = layer(frames, stream.pasts.get(number)).flatten(0, 1)
            stream.pasts[number] = frames[:, -1].clone()  # a slice would keep all frames alive
        else:
            x = layer(x)
    return x.unflatten(0, (batch, -1))  # type: ignore[no-any-return]


class Tae(nn.Module):
    """Pictures in [-1, 1] ↔ latents of Wan 2.2, whole or piece by piece."""

    def __init__(self, config: TaeConfig | None = None) -> None:
        super().__init__()
        self.config = config or TaeConfig()
        self.encoder = new_encoder(self.config)
        self.decoder = new_decoder(self.config)

    def encode(self, pictures: Tensor, stream: TaeStream | None = None) -> Tensor:
        """[B, 3, T, H, W] → latents [B, 48, T / 4, H / 16, W / 16].

        Of a whole video the last frame is repeated until four fill a latent. A piece of a stream
        has to bring them: ValueError otherwise. Latent n is made of frames 4n to 4n + 3, and after
        the first it is decoded to frames 4n - 3 to 4n: a stream's latents come three frames late.
        """
        missing = -pictures.shape[2] % FRAMES_PER_LATENT
        if missing and stream is not None:
            raise ValueError(
                f"a piece of a stream has {pictures.shape[2]} frames, expected a multiple of "
                f"{FRAMES_PER_LATENT}"
            )
        frames = (pictures.movedim(2, 1) + 1) / 2
        frames = torch.cat((frames, frames[:, -1:].expand(-1, missing, -1, -1, -1)), 1)
        frames = F.pixel_unshuffle(frames, self.config.patch)
        return run(self.encoder, frames, stream or TaeStream()).movedim(1, 2)

    def decode(self, latents: Tensor, stream: TaeStream | None = None) -> Tensor:
        """[B, 48, T, h, w] → [B, 3, 4T, 16h, 16w]; a stream's first latent is a single frame."""
        stream = stream or TaeStream()
        frames = run(self.decoder, latents.movedim(2, 1), stream)
        if not stream.begun:
            frames = frames[:, FRAMES_PER_LATENT - 1 :]
            stream.begun = True
        frames = F.pixel_shuffle(frames, self.config.patch).clamp(0, 1)
        return frames.movedim(1, 2) * 2 - 1

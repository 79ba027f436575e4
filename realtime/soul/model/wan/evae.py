"""Soul's eVAE: the Wan 2.2 decoder's layout at a quarter of its width, for latents as they come.

Latents of 48 channels become pictures of 16 times their size; the first of a stream is one frame,
every later one four. All convolutions over time look back only, so a stream is decoded latent by
latent, and what it remembers lies apart from the weights. Knows no files, devices or training.

The paper tells sizes and no layout. At width 256 this layout is the full decoder, 555.05 M numbers;
at width 64 it has 34,965,580, the paper's 34.97 M to the last digit. The paper's multiplications do
not fit their size (109 x 1088 x 1920): the full decoder takes 2,103 T there, not 688.58, and width
64 takes 133.1 T, not 43.34. Their quotient fits: 15.80 here, 15.89 there. `EVAE_COUNTED` comes
nearest to both figures as they stand, of all widths in steps of 4 with 2 to 4 blocks a level.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from soul.timebase import FRAMES_PER_LATENT


@dataclass(frozen=True, slots=True)
class EvaeConfig:
    """Sizes; the defaults are those of the paper's eVAE, see the module's docstring."""

    channels: int = 48  # of a latent
    width: int = 64
    times: tuple[int, ...] = (4, 4, 2, 1)  # channels of each level, in widths, coarse to fine
    doubles: tuple[bool, ...] = (True, True, False)  # whether a step between levels doubles frames
    blocks: int = 3  # a level
    patch: int = 2  # pixels a side that the last layer paints at once

    def __post_init__(self) -> None:
        if len(self.doubles) != len(self.times) - 1:
            raise ValueError(
                f"{len(self.times)} levels have {len(self.doubles)} steps between them, expected "
                f"{len(self.times) - 1}"
            )
        pairs = pairwise((self.times[0], *self.times[:-1]))
        for (given, out), doubles in zip(pairs, self.doubles, strict=True):
            if (8 if doubles else 4) * out % given:
                raise ValueError(
                    f"{given} widths of channels cannot be laid out over {out} widths of twice the "
                    f"size{' and time' if doubles else ''}, expected a divisor"
                )


EVAE = EvaeConfig()  # 34,965,580 parameters
EVAE_COUNTED = EvaeConfig(width=36, times=(8, 4, 1, 1), blocks=4)  # 34,921,668; 43.63 T


@dataclass(slots=True)
class EvaeStream:
    """What a stream remembers: by causal convolution, the last frames that it was given."""

    pasts: dict[int, Tensor] = field(default_factory=dict)
    begun: bool = False

    def let_go(self) -> None:
        """What was seen stays, its gradients do not: so a decoder is trained piece by piece."""
        self.pasts = {number: past.detach() for number, past in self.pasts.items()}


class Causal(nn.Module):
    """A convolution over [B, C, T, H, W] that looks back in time; before a stream lie zeros."""

    def __init__(self, given: int, out: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.number = 0  # among the causal convolutions of a decoder, which sets it
        self.back = kernel[0] - 1
        self.conv = nn.Conv3d(given, out, kernel, padding=(0, kernel[1] // 2, kernel[2] // 2))

    def forward(self, x: Tensor, stream: EvaeStream) -> Tensor:
        past = stream.pasts.get(self.number)
        if past is None:
            past = x.new_zeros(*x.shape[:2], self.back, *x.shape[3:])
        seen = torch.cat((past, x), 2)
        # Of its own memory: a slice would keep all frames alive.
        stream.pasts[self.number] = seen[:, :, -self.back :].clone()
        return self.conv(seen)  # type: ignore[no-any-return]


class Norm(nn.Module):
    """Root mean square over channels; [B, C, ...] → the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        gain = (self.gain * len(self.gain) ** 0.5).view(-1, *(1,) * (x.ndim - 2))
        return F.normalize(x, dim=1) * gain  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Two causal 3 x 3 x 3 convolutions around a shortcut."""

    def __init__(self, given: int, out: int) -> None:
        super().__init__()
        self.norm1 = Norm(given)
        self.conv1 = Causal(given, out, (3, 3, 3))
        self.norm2 = Norm(out)
        self.conv2 = Causal(out, out, (3, 3, 3))
        self.shortcut = nn.Identity() if given == out else nn.Conv3d(given, out, 1)

    def forward(self, x: Tensor, stream: EvaeStream) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)), stream)
        y = self.conv2(F.silu(self.norm2(y)), stream)
        return y + self.shortcut(x)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """One head over the cells of each frame by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = Norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.movedim(2, 1)  # [B, T, C, H, W]
        folded = self.norm(frames.flatten(0, 1))
        # Each [B·T, 1, H·W, C], with an axis for the one head, as the fused kernels want it.
        q, k, v = self.qkv(folded).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, dim=-1)
        y = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2)
        y = self.out(y.reshape(folded.shape))
        return x + y.view(frames.shape).movedim(1, 2)  # type: ignore[no-any-return]


def laid_out(x: Tensor, out: int, frames: int) -> Tensor:
    """Channels over `frames` frames and 2 x 2 cells: [B, C, T, H, W] → [B, out, T·frames, 2H, 2W].

    Each channel is repeated as often as it takes: an up-sampling without weights.
    """
    batch, channels, time, height, width = x.shape
    x = x.repeat_interleave(4 * frames * out // channels, 1)
    x = x.view(batch, out, frames, 2, 2, time, height, width).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(batch, out, time * frames, 2 * height, 2 * width)


class Level(nn.Module):
    """Residual blocks at one size, and the step to twice that size; around both a shortcut."""

    def __init__(self, given: int, out: int, blocks: int, doubles: bool) -> None:
        super().__init__()
        self.width = out
        self.frames = 2 if doubles else 1
        self.blocks = nn.ModuleList(Residual(given if i == 0 else out, out) for i in range(blocks))
        self.grow = Causal(out, 2 * out, (3, 1, 1)) if doubles else None
        self.spread = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor, stream: EvaeStream) -> Tensor:
        """[B, given, T, H, W] → [B, out, T', 2H, 2W], where doubled frames start with the second.

        A stream's first frame stays alone, and what doubles the others does not see it.
        """
        alone = 0 if stream.begun else self.frames - 1
        y = x
        for block in self.blocks:
            y = block(y, stream)
        if self.grow is not None:
            y = torch.cat((y[:, :, :alone], doubled(self.grow, y[:, :, alone:], stream)), 2)
        frames = y.movedim(2, 1)
        folded = F.interpolate(frames.flatten(0, 1), scale_factor=2, mode="nearest-exact")
        y = self.spread(folded).unflatten(0, frames.shape[:2]).movedim(1, 2)
        return y + laid_out(x, self.width, self.frames)[:, :, alone:]  # type: ignore[no-any-return]


def doubled(grow: Causal, x: Tensor, stream: EvaeStream) -> Tensor:
    """Two frames of each of [B, C, T, H, W], T ≥ 0."""
    if not x.shape[2]:
        return x
    pairs = grow(x, stream).unflatten(1, (2, -1))  # [B, 2, C, T, H, W]
    return pairs.movedim(1, 3).flatten(2, 3)  # type: ignore[no-any-return]


class Evae(nn.Module):
    """Latents → pictures, whole or piece by piece. See the module's docstring."""

    def __init__(self, config: EvaeConfig | None = None) -> None:
        super().__init__()
        self.config = config or EvaeConfig()
        widths = [self.config.width * times for times in self.config.times]
        self.entry = Causal(self.config.channels, widths[0], (3, 3, 3))
        self.before = Residual(widths[0], widths[0])
        self.attention = Attention(widths[0])
        self.after = Residual(widths[0], widths[0])
        self.levels = nn.ModuleList(
            Level(given, out, self.config.blocks, doubles)
            for (given, out), doubles in zip(
                pairwise([widths[0], *widths[:-1]]), self.config.doubles, strict=True
            )
        )
        self.finest = nn.ModuleList(
            Residual(widths[-2] if i == 0 else widths[-1], widths[-1])
            for i in range(self.config.blocks)
        )
        self.norm = Norm(widths[-1])
        self.head = Causal(widths[-1], 3 * self.config.patch**2, (3, 3, 3))
        for number, layer in enumerate(self.causal()):
            layer.number = number

    def causal(self) -> Iterator[Causal]:
        """The convolutions that remember, numbered in this order."""
        return (layer for layer in self.modules() if isinstance(layer, Causal))

    def forward(self, latents: Tensor, stream: EvaeStream | None = None) -> Tensor:
        """Latents [B, 48, T, h, w] as the DiT has them → pictures [B, 3, T', 16h, 16w].

        Pictures lie about [-1, 1] and are not clamped. T' is 4T, or 4T - 3 where a stream begins:
        without `stream` it is a whole video. The stream's memory moves on.
        """
        stream = stream or EvaeStream()
        x = self.after(self.attention(self.before(self.entry(latents, stream), stream)), stream)
        for layer in (*self.levels, *self.finest):
            x = layer(x, stream)
        x = self.head(F.silu(self.norm(x)), stream).movedim(2, 1)
        stream.begun = True
        return F.pixel_shuffle(x, self.config.patch).movedim(1, 2)


def parameters(config: EvaeConfig) -> int:
    """Numbers that are learned."""
    with torch.device("meta"):
        return sum(p.numel() for p in Evae(config).parameters())


def macs(config: EvaeConfig, frames: int, height: int, width: int) -> int:
    """Multiply-accumulates of convolutions and attention for a video of `frames` in pixels.

    ValueError if that is no size of a video: 1 + 4n frames, sides multiples of 16.
    """
    spatial = config.patch * 2 ** len(config.doubles)
    if (frames - 1) % FRAMES_PER_LATENT or height % spatial or width % spatial:
        raise ValueError(
            f"{frames} frames of {height} x {width} pixels are no whole latents; expected 1 + "
            f"{FRAMES_PER_LATENT}n frames and sides that are multiples of {spatial}"
        )
    count = 1 + (frames - 1) // FRAMES_PER_LATENT
    with torch.device("meta"), torch.no_grad():
        latents = torch.zeros(1, config.channels, count, height // spatial, width // spatial)
        decoder = Evae(config)
        with FlopCounterMode(display=False) as counter:
            decoder(latents)
    return int(counter.get_total_flops()) // 2

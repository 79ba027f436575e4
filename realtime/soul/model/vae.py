"""The latent space of moving portraits: an encoder and two decoders, causal in time.

Four frames become one latent of 48 channels at a sixteenth of the size; a still is four equal
frames. A decoder sees a latent, the pivotal latent and the portrait's own features: it warps the
portrait and paints over it what a warp cannot bring (an opened mouth, a closed lid). Its state is
the trunk's features of the latent before, so a stream has no seams. The light decoder (eVAE) is
the same network, narrower. Nothing here knows about sound, time of day or devices.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from soul.model.config import VaeConfig

FLOW_RANGE = 32.0  # largest displacement a decoder can ask for, in pixels
SUBPIXELS = 4  # the decoders paint at a quarter of the size, 4 x 4 pixels a cell


PLACES = 14  # channels of `places`


def places(rows: int, columns: int) -> Tensor:
    """Where each latent cell lies in the picture: [1, 14, rows, columns].

    x and y in [-1, 1] with sines and cosines of three octaves. Portraits have a common framing;
    who knows where a cell lies needs not search for what should be there.
    """
    y = (torch.arange(rows) + 0.5) * 2 / rows - 1
    x = (torch.arange(columns) + 0.5) * 2 / columns - 1
    at = torch.stack(torch.meshgrid(y, x, indexing="ij"))
    waves = [wave(torch.pi * 2**k * at) for k in range(3) for wave in (torch.sin, torch.cos)]
    return torch.cat((at, *waves)).unsqueeze(0)


class CellNorm(nn.LayerNorm):
    """Mean 0 and deviation 1 over the channels of each cell; [B, C, H, W] → the same.

    What a cell becomes must not depend on how much of the picture lies around it: training sees
    crops, serving sees whole pictures.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a shortcut; [B, C, H, W] → the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = CellNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(cast(Tensor, self.conv2.bias))

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.conv2(F.silu(self.conv1(F.silu(self.norm(x))))))


class Down(nn.Module):
    """Space-to-channel by 2, then a mix of channels; [B, C, H, W] → [B, out, H/2, W/2]."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(F.pixel_unshuffle(x, 2)))


class Up(nn.Module):
    """Channel-to-space by 2; [B, C, H, W] → [B, out, 2H, 2W]."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4 * out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class Encoder(nn.Module):
    """[B, 4, 3, H, W] in [-1, 1] → latents [B, 48, H/16, W/16], about unit variance."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        w = config.encoder_width
        self.stem = nn.Sequential(nn.Conv2d(3 * SUBPIXELS**2, w, 3, padding=1), Residual(w))
        self.middle = nn.Sequential(Down(w, 2 * w), Residual(2 * w))
        self.quarter = Down(2 * w, 2 * w)
        self.merge = nn.Conv2d(2 * w * config.temporal + PLACES, 4 * w, 1)
        self.trunk = nn.Sequential(Residual(4 * w), Residual(4 * w))
        self.out = nn.Conv2d(4 * w, config.channels, 1)
        self.temporal = config.temporal
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("deviation", torch.ones(config.channels))

    def raw(self, frames: Tensor, place: Tensor | None = None) -> Tensor:
        """Latents before the channel means and deviations are taken out.

        One frame stands for four equal ones. `place` [B, 14, H/16, W/16] says where the cells lie
        if `frames` are crops.
        """
        batch, time = frames.shape[:2]
        x = F.pixel_unshuffle(frames.flatten(0, 1), SUBPIXELS)
        x = self.quarter(self.middle(self.stem(x)))
        x = x.reshape(batch, time, *x.shape[1:]).expand(-1, self.temporal, -1, -1, -1).flatten(1, 2)
        x = torch.cat((x, placed(place, x)), 1)
        return cast(Tensor, self.out(self.trunk(self.merge(x))))

    def forward(self, frames: Tensor, place: Tensor | None = None) -> Tensor:
        z = self.raw(frames, place)
        return (z - self.mean.view(1, -1, 1, 1)) / self.deviation.view(1, -1, 1, 1)

    def still(self, portrait: Tensor) -> Tensor:
        """The pivotal latent of one picture [B, 3, H, W]: four equal frames."""
        return cast(Tensor, self(portrait.unsqueeze(1)))


def placed(place: Tensor | None, like: Tensor) -> Tensor:
    """`place`, or that of a whole picture, for the batch, size, type and device of `like`."""
    found = places(*like.shape[-2:]) if place is None else place
    return found.to(like).expand(len(like), -1, -1, -1)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a decoder keeps of the portrait, made once a session."""

    picture: Tensor  # [B, 3, H, W]
    fine: Tensor  # [B, C, H/4, W/4]
    coarse: Tensor  # [B, C', H/16, W/16]: places, the portrait's features, the pivotal latent

    @staticmethod
    def cat(items: "list[Reference]") -> "Reference":
        return Reference(
            torch.cat([r.picture for r in items]),
            torch.cat([r.fine for r in items]),
            torch.cat([r.coarse for r in items]),
        )


@dataclass(frozen=True, slots=True)
class Painted:
    """A decoder's answer and its parts, for the training losses. Time is folded into the batch."""

    pictures: Tensor  # [B·4, 3, H, W]
    paint: Tensor  # [B·4, 3, H, W], what was painted
    mask: Tensor  # [B·4, 1, H, W], how much of the warped portrait shows
    flow: Tensor  # [B·4, 2, H/8, W/8], backward flow in pixels of the picture
    state: Tensor  # [B, C, H/16, W/16]


def pixel_grid(height: int, width: int, like: Tensor) -> Tensor:
    """Centres of pixels [1, H, W, 2] in [-1, 1], x first, as `grid_sample` wants them."""
    ys = (torch.arange(height, device=like.device, dtype=torch.float32) + 0.5) * 2 / height - 1
    xs = (torch.arange(width, device=like.device, dtype=torch.float32) + 0.5) * 2 / width - 1
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack((x, y), -1).unsqueeze(0)


def warp(picture: Tensor, flow: Tensor, scale: int = 1) -> Tensor:
    """Sample `picture` [B, C, H, W] where the backward `flow` [B, 2, h, w] points.

    `flow` counts pixels of a picture `scale` times as large as this one.
    """
    height, width = picture.shape[-2:]
    flow = flow.float() * (2 / (scale * width))
    if flow.shape[-2:] != (height, width):
        flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
    grid = pixel_grid(height, width, picture) + flow.permute(0, 2, 3, 1)
    return F.grid_sample(
        picture.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )


class Decoder(nn.Module):
    """Latents → pictures, one latent at a time, with a state. See the module's docstring."""

    def __init__(self, config: VaeConfig, trunk: int, width: int, blocks: int) -> None:
        super().__init__()
        self.temporal = config.temporal
        self.width = width
        self.channels = c = config.channels
        self.fine = nn.Sequential(nn.Conv2d(3 * SUBPIXELS**2, width, 3, padding=1), Residual(width))
        self.coarse = nn.Sequential(
            Down(width, 2 * width), Down(2 * width, trunk // 2), Residual(trunk // 2)
        )
        self.entry = nn.Conv2d(2 * c + trunk // 2 + PLACES, trunk, 1)
        self.memory = nn.Conv2d(trunk, trunk, 1)
        self.trunk = nn.Sequential(*(Residual(trunk) for _ in range(blocks)))
        self.up1 = Up(trunk, 2 * width * config.temporal)
        self.middle = Residual(2 * width)
        self.flow = nn.Conv2d(2 * width, 2, 3, padding=1)
        self.up2 = Up(2 * width, width)
        self.join = nn.Conv2d(2 * width, width, 3, padding=1)
        self.full = Residual(width)
        self.head = nn.Conv2d(width, 4 * SUBPIXELS**2, 3, padding=1)
        nn.init.normal_(self.flow.weight, std=1e-3)

    def refer(self, portrait: Tensor, pivotal: Tensor, place: Tensor | None = None) -> Reference:
        """Features of the portrait [B, 3, H, W] and of its latent, made once a session."""
        fine = self.fine(F.pixel_unshuffle(portrait, SUBPIXELS))
        coarse = torch.cat((placed(place, pivotal), self.coarse(fine), pivotal), 1)
        return Reference(portrait, fine, coarse)

    def first_state(self, reference: Reference) -> Tensor:
        """The state before the first latent: as if the portrait itself had just been shown."""
        return self.enter(reference.coarse[:, -self.channels :], reference)

    def enter(self, latent: Tensor, reference: Reference) -> Tensor:
        return cast(Tensor, self.entry(torch.cat((latent, reference.coarse), 1)))

    def forward(self, latent: Tensor, reference: Reference, state: Tensor) -> Painted:
        """`latent` [B, 48, h, w] and the state left by the one before → four frames each."""
        entered = self.enter(latent, reference)
        x = self.trunk(entered + self.memory(state))
        x = self.up1(x)
        x = x.reshape(-1, 2 * self.width, *x.shape[2:])
        x = self.middle(x)
        flow = FLOW_RANGE * torch.tanh(self.flow(x).float())
        fine = reference.fine.repeat_interleave(self.temporal, 0)
        picture = reference.picture.repeat_interleave(self.temporal, 0)
        x = self.join(torch.cat((self.up2(x), warp(fine, flow, SUBPIXELS).to(x.dtype)), 1))
        painted = F.pixel_shuffle(self.head(self.full(F.silu(x))), SUBPIXELS)
        paint, mask = painted[:, :3].float(), torch.sigmoid(painted[:, 3:].float())
        pictures = torch.lerp(paint, warp(picture, flow), mask)
        return Painted(pictures, paint, mask, flow, entered)


def full_decoder(config: VaeConfig) -> Decoder:
    return Decoder(config, config.decoder_trunk, config.decoder_width, blocks=3)


def light_decoder(config: VaeConfig) -> Decoder:
    """The eVAE: the decoder that serves live."""
    return Decoder(config, config.light_trunk, config.light_width, blocks=2)


def from_bytes(pictures: NDArray[np.uint8]) -> Tensor:
    """[..., H, W, 3] uint8 → a copy, [..., 3, H, W] float32 in [-1, 1]."""
    return torch.from_numpy(np.array(pictures)).movedim(-1, -3).float().div_(127.5).sub_(1)


def to_bytes(pictures: Tensor, frames: int) -> Tensor:
    """[B·frames, 3, H, W] in [-1, 1] → [B, frames, H, W, 3] uint8."""
    scaled = (pictures.clamp(-1, 1) + 1).mul_(127.5).round_().to(torch.uint8)
    scaled = scaled.permute(0, 2, 3, 1).contiguous()
    return scaled.view(-1, frames, *scaled.shape[1:])

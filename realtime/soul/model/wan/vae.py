"""Wan2.2's VAE, whole and streamed: frames to latents of 48 channels at a sixteenth, and back.

Causal in time: the first frame is a latent of its own, then four frames make one. The layers are
diffusers'; what a stream remembers lies in a `VaeState`, never on the modules, so one set of
weights serves many streams and whole is streamed in one call. It knows no sound, no clock, no
files, and not how large pictures are cut into tiles.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanCausalConv3d,
    patchify,
    unpatchify,
)
from torch import Tensor, nn

from soul.model.config import ConfigError
from soul.timebase import FRAMES_PER_LATENT

# Of the latents of Wan2.2's training, channel by channel: `latents_mean` and `latents_std` of
# Wan-AI/Wan2.2-TI2V-5B-Diffusers, vae/config.json.
MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542,
    0.2813, 0.0891, 0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109,
    0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899,
    -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748,
    0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
DEVIATION = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344,
    0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804,
    0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999,
    0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887,
    0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip

# The same of Wan2.1, of 16 channels: Wan-AI/Wan2.1-T2V-1.3B-Diffusers, vae/config.json.
MEAN_2_1 = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
DEVIATION_2_1 = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip

COLOURS = 3

Feature: TypeAlias = Tensor | str | None
"""What a layer of diffusers' keeps of the calls before: frames, a mark, or nothing yet."""


@dataclass(frozen=True, slots=True)
class WanVaeConfig:
    """Sizes of Wan2.2's VAE; the defaults are those of TI2V-5B."""

    channels: int = 48
    encoder_width: int = 160
    decoder_width: int = 256
    multipliers: tuple[int, ...] = (1, 2, 4, 4)  # of the width, level by level
    residuals: int = 2  # residual blocks a level of the encoder; the decoder has one more
    halves_time: tuple[bool, ...] = (False, True, True)  # by level, besides height and width
    patch: int = 2  # pixels on a side that are folded into channels first; 1: Wan2.1's layers
    mean: tuple[float, ...] = MEAN
    deviation: tuple[float, ...] = DEVIATION

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("deviation", self.deviation)):
            if len(values) != self.channels:
                raise ConfigError(f"{name} has {len(values)} values for {self.channels} channels")
        if 2 ** sum(self.halves_time) != FRAMES_PER_LATENT:
            raise ConfigError(
                f"halves_time {self.halves_time} makes {2 ** sum(self.halves_time)} frames a "
                f"latent, expected {FRAMES_PER_LATENT}"
            )

    @property
    def spatial(self) -> int:
        """Pixels on a side of one latent cell."""
        return self.patch << len(self.halves_time)


WAN_2_1 = WanVaeConfig(
    channels=16,
    encoder_width=96,
    decoder_width=96,
    patch=1,
    mean=MEAN_2_1,
    deviation=DEVIATION_2_1,
)


@dataclass(frozen=True, slots=True)
class VaeState:
    """What one stream, in one direction, remembers between two calls.

    A value: a call answers with the next state and leaves this one as it was, so a stream can be
    taken up again from any state that was kept.
    """

    features: tuple[Feature, ...]  # the last frames before each causal convolution
    latents: int = 0  # coded so far
    waiting: Tensor | None = None  # frames [B, 1 to 3, 3, H, W] that make no latent yet
    shape: torch.Size | None = None  # (B, C, H, W) of all that is pushed


def moved(state: VaeState, device: torch.device) -> VaeState:
    """The same state on `device`; of what lies there already nothing is copied."""
    features = tuple(f.to(device) if isinstance(f, Tensor) else f for f in state.features)
    waiting = None if state.waiting is None else state.waiting.to(device)
    return VaeState(features, state.latents, waiting, state.shape)


def network(config: WanVaeConfig) -> Any:
    """diffusers' `AutoencoderKLWan` of these sizes, with random weights."""
    folded = COLOURS * config.patch**2
    return AutoencoderKLWan(
        base_dim=config.encoder_width,
        decoder_base_dim=config.decoder_width,
        z_dim=config.channels,
        dim_mult=list(config.multipliers),
        num_res_blocks=config.residuals,
        temperal_downsample=list(config.halves_time),
        latents_mean=list(config.mean),
        latents_std=list(config.deviation),
        is_residual=config.patch > 1,
        in_channels=folded,
        out_channels=folded,
        patch_size=config.patch if config.patch > 1 else None,
        scale_factor_spatial=config.spatial,
    )


def fresh(part: nn.Module) -> VaeState:
    """The state of a stream through `part` that has seen nothing."""
    return VaeState((None,) * sum(isinstance(layer, WanCausalConv3d) for layer in part.modules()))


def column(values: tuple[float, ...]) -> Tensor:
    """[channels, 1, 1]; real also where weights are only named, on `meta`."""
    return torch.tensor(values, device="cpu").view(-1, 1, 1)


def sizes(frames: int, begun: bool) -> list[int]:
    """Lengths of the groups of frames that make a latent each: one frame first, then fours."""
    first = [1] if frames and not begun else []
    return first + [FRAMES_PER_LATENT] * ((frames - len(first)) // FRAMES_PER_LATENT)


def check_pushed(pushed: Tensor, channels: int, side: int, shape: torch.Size | None) -> torch.Size:
    """(B, C, H, W) of what is `pushed`; ValueError if it is no film, or not the stream's `shape`.

    `side` is what H and W must be multiples of.
    """
    found = tuple(pushed.shape)
    if len(found) != 5 or found[2] != channels or found[3] % side or found[4] % side:
        raise ValueError(
            f"shape {found} was pushed, expected (B, T, {channels}, H, W) with H and W multiples "
            f"of {side}"
        )
    own = pushed.shape[:1] + pushed.shape[2:]
    if shape not in (None, own):
        raise ValueError(f"shape {found} was pushed into a stream of {tuple(shape or ())}")
    return own


def check_whole(frames: Tensor, side: int) -> None:
    """ValueError if `frames` are no film, or one that leaves frames which make no latent."""
    check_pushed(frames, COLOURS, side, None)
    count = frames.shape[1]
    if sum(sizes(count, begun=False)) != count or not count:
        raise ValueError(f"{count} frames make no whole latents, expected 1, 5, 9, 13, …")


class WanVae(nn.Module):
    """Frames [B, T, 3, H, W] in [-1, 1] ↔ latents [B, n, 48, H/16, W/16], about unit variance.

    T is 1 + 4 (n − 1). Parameters carry diffusers' names, so its `vae` folder loads strictly.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: WanVaeConfig) -> None:
        super().__init__()
        self.config = config
        whole = network(config)
        self.encoder = whole.encoder
        self.quant_conv = whole.quant_conv
        self.post_quant_conv = whole.post_quant_conv
        self.decoder = whole.decoder
        self.register_buffer("mean", column(config.mean), persistent=False)
        self.register_buffer("deviation", column(config.deviation), persistent=False)

    def encode(self, frames: Tensor) -> Tensor:
        """A whole film [B, 1 + 4 (n − 1), 3, H, W] → [B, n, 48, H/16, W/16].

        ValueError if H or W is no multiple of 16, or if frames would be left over.
        """
        check_whole(frames, self.config.spatial)
        return self.encode_next(frames, self.open_encoder())[0]

    def still(self, portrait: Tensor) -> Tensor:
        """The pivotal latent [B, 48, H/16, W/16] of one picture [B, 3, H, W]: a film's first."""
        return self.encode(portrait.unsqueeze(1)).squeeze(1)

    def decode(self, latents: Tensor) -> Tensor:
        """[B, n, 48, h, w] → the whole film [B, 1 + 4 (n − 1), 3, 16 h, 16 w]."""
        return self.decode_next(latents, self.open_decoder())[0]

    def open_encoder(self) -> VaeState:
        """A stream of frames that begins."""
        return fresh(self.encoder)

    def open_decoder(self) -> VaeState:
        """A stream of latents that begins."""
        return fresh(self.decoder)

    def encode_next(self, frames: Tensor, state: VaeState) -> tuple[Tensor, VaeState]:
        """Push frames [B, T, 3, H, W], however many; pull the latents that they complete.

        The first frame completes the first latent, every fourth one after it the next; those left
        wait in the state. ValueError names a shape that cannot be.
        """
        shape = check_pushed(frames, COLOURS, self.config.spatial, state.shape)
        if state.waiting is not None:
            frames = torch.cat((state.waiting, frames), 1)
        groups = sizes(frames.shape[1], state.latents > 0)
        used = sum(groups)
        features = list(state.features)
        rows, columns = (side // self.config.spatial for side in frames.shape[-2:])
        coded = [frames.new_empty(len(frames), 0, self.config.channels, rows, columns)]
        for group in frames[:, :used].split(groups, 1) if groups else ():
            coded.append(self.encode_group(group, features))
        left = frames[:, used:].clone() if used < frames.shape[1] else None
        done = VaeState(tuple(features), state.latents + len(groups), left, shape)
        return torch.cat(coded, 1), done

    def decode_next(self, latents: Tensor, state: VaeState) -> tuple[Tensor, VaeState]:
        """Push latents [B, n, 48, h, w]; pull their frames: 4 n, or 1 + 4 (n − 1) at first.

        One latent goes through at a time: diffusers' layers need the first alone, and the memory
        that is needed does not grow with n.
        """
        shape = check_pushed(latents, self.config.channels, 1, state.shape)
        features = list(state.features)
        height, width = (side * self.config.spatial for side in latents.shape[-2:])
        shown = [latents.new_empty(len(latents), 0, COLOURS, height, width)]
        for index, latent in enumerate(latents.split(1, 1) if latents.shape[1] else ()):
            shown.append(self.decode_one(latent, features, first=state.latents + index == 0))
        done = VaeState(tuple(features), state.latents + latents.shape[1], None, shape)
        return torch.cat(shown, 1), done

    def encode_group(self, frames: Tensor, features: list[Feature]) -> Tensor:
        """One or four frames → their latent [B, 1, 48, h, w]; moves `features` on."""
        folded = patchify(frames.transpose(1, 2), self.config.patch)
        both: Tensor = self.quant_conv(self.encoder(folded, feat_cache=features, feat_idx=[0]))
        raw, _ = both.transpose(1, 2).chunk(2, 2)  # the second half would be the log variance
        mean, deviation = self.mean.to(raw.device), self.deviation.to(raw.device)
        return ((raw - mean) / deviation).to(raw.dtype)

    def decode_one(self, latent: Tensor, features: list[Feature], first: bool) -> Tensor:
        """[B, 1, 48, h, w] → its four frames, or its one if `first`; moves `features` on."""
        mean, deviation = self.mean.to(latent.device), self.deviation.to(latent.device)
        raw = (latent * deviation + mean).to(latent.dtype).transpose(1, 2)
        entered = self.post_quant_conv(raw)
        folded = self.decoder(entered, feat_cache=features, feat_idx=[0], first_chunk=first)
        pictures: Tensor = unpatchify(folded, self.config.patch)
        return pictures.clamp(-1, 1).transpose(1, 2)

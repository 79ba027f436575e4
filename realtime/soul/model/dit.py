"""The diffusion transformer: Wan2.2-TI2V with an audio attention in every block.

Parameters carry Wan2.2-TI2V-5B's own names, so its checkpoint loads; what Soul adds is named
`audio_embedding`, `blocks.N.norm_audio` and `blocks.N.audio_attn`, or `packed_audio` where sound
is added before some blocks; without sound it is Wan's own. It knows one chunk at a time and the
memory it is handed: not sampling, not codebooks, not time of day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soul.model.attention import CrossAttention, Memory, SelfAttention
from soul.model.config import DEAF, DiTConfig
from soul.model.packed import PackedAudio
from soul.model.rope import rotate, rotation
from soul.model.window import Context


def sinusoid(timesteps: Tensor, dim: int) -> Tensor:
    """Wan's time embedding [..., dim] of `timesteps` [...] in [0, 1000]; formed in float64."""
    half = dim // 2
    power = -torch.arange(half, dtype=torch.float64, device=timesteps.device) / half
    theta = timesteps.double().unsqueeze(-1) * torch.pow(10_000.0, power)
    return torch.cat((theta.cos(), theta.sin()), -1)


class LayerNorm(nn.LayerNorm):
    """In float32 whatever the input's type, as Wan does."""

    def forward(self, x: Tensor) -> Tensor:
        weight = None if self.weight is None else self.weight.float()
        bias = None if self.bias is None else self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).type_as(x)


def runs(x: Tensor, like: Tensor) -> Tensor:
    """`x` [B, tokens, dim] as the equal runs of tokens that `like` [B, groups, dim] speaks for."""
    return x.unflatten(1, (like.shape[1], -1))  # type: ignore[no-any-return]


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """`x` [B, tokens, dim] scaled and shifted, each [B, groups, dim]."""
    return (runs(x, scale) * (1 + scale.unsqueeze(2)) + shift.unsqueeze(2)).flatten(1, 2)


def admit(x: Tensor, gate: Tensor) -> Tensor:
    """`x` [B, tokens, dim] times `gate` [B, groups, dim]."""
    return (runs(x, gate) * gate.unsqueeze(2)).flatten(1, 2)


@dataclass(frozen=True, slots=True)
class Sound:
    """What a chunk's last latents hear, each its own; the `deaf` tokens before hear nothing."""

    tokens: Tensor  # [B, latents, m, dim]
    deaf: int


class Block(nn.Module):
    """Window attention, text attention, audio attention, feed-forward."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        dim, eps = config.dim, config.eps
        self.norm1 = LayerNorm(dim, eps, elementwise_affine=False)
        self.self_attn = SelfAttention(config)
        self.norm3 = LayerNorm(dim, eps)
        self.cross_attn = CrossAttention(config)
        if config.audio_form == "attention":
            self.norm_audio = LayerNorm(dim, eps)
            self.audio_attn = CrossAttention(config)
        self.norm2 = LayerNorm(dim, eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(dim, config.ffn_dim),
            nn.GELU(approximate="tanh"),
            nn.Linear(config.ffn_dim, dim),
        )
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        turn: Tensor,
        memory: Memory | None,
        text: Tensor,
        sound: Sound | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`x` [B, tokens, dim], `time` [B, groups, 6, dim] → (x, unrotated keys, values)."""
        shift, scale, gate, shift2, scale2, gate2 = (self.modulation.unsqueeze(0) + time).unbind(2)
        seen, key, value = self.self_attn(modulate(self.norm1(x), shift, scale), turn, memory)
        x = x + admit(seen, gate)
        x = x + self.cross_attn(self.norm3(x), text)
        if sound is not None:
            x = x + self.hear(x, sound)
        x = x + admit(self.ffn(modulate(self.norm2(x), shift2, scale2)), gate2)
        return x, key, value

    def hear(self, x: Tensor, sound: Sound) -> Tensor:
        """What each latent's tokens make of its sound: [B, tokens, dim]."""
        hearing = self.norm_audio(x[:, sound.deaf :])
        each = hearing.unflatten(1, (sound.tokens.shape[1], -1)).flatten(0, 1)
        answer = self.audio_attn(each, sound.tokens.flatten(0, 1)).view_as(hearing)
        return F.pad(answer, (0, 0, sound.deaf, 0))


class Head(nn.Module):
    """Tokens back to latent cells."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.norm = LayerNorm(config.dim, config.eps, elementwise_affine=False)
        self.head = nn.Linear(config.dim, config.latent_channels * config.patch**2)
        self.modulation = nn.Parameter(torch.randn(1, 2, config.dim) / config.dim**0.5)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = (self.modulation.unsqueeze(0) + time.unsqueeze(2)).unbind(2)
        return self.head(modulate(self.norm(x), shift, scale))  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward's answer: the flow and what a window would keep of it."""

    flow: Tensor  # [B, channels, n, h, w]
    keys: Tensor  # [layers, B, heads, tokens, head_dim]; empty if nothing was to be kept
    values: Tensor


class DiT(nn.Module):
    """See the module's docstring. One chunk a stream and pass; flow matching, v = noise − x."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        dim, p = config.dim, config.patch
        self.config = config
        channels = config.latent_channels + config.condition_channels
        self.patch_embedding = nn.Conv3d(channels, dim, (1, p, p), (1, p, p))
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        if config.audio_form == "attention":
            self.audio_embedding = nn.Linear(config.audio_dim, dim)
        elif config.audio_form == "packed":
            self.packed_audio = PackedAudio(config)
        self.time_embedding = nn.Sequential(
            nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        if config.steered:
            self.steering = nn.Linear(config.steered * config.audio_dim, dim)
            for parameter in self.steering.parameters():
                nn.init.zeros_(parameter)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config)

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in; a window's keys and values are of this type."""
        return self.patch_embedding.weight.dtype

    def forward(
        self,
        latent: Tensor,
        timesteps: Tensor,
        text: Tensor,
        audio: Tensor | None,
        context: Context | None,
        keep: bool = False,
    ) -> Pass:
        """One pass over one chunk of each stream; its latents all see each other.

        `latent` [B, C + conditions, n, h, w]; `timesteps` in [0, 1000]: [B], [B, n] for each latent
        or [B, tokens]; `text` [B, words, text_dim], padding included: Wan attends to it;
        `audio` [B, k, m, audio_dim], heard by the last k latents, each its own m tokens, or None:
        the audio layers are passed by, as always where there are none; `context` None: nothing is
        remembered, the latents stand at positions 0 .. n − 1, as in Wan's clips. With `keep` the
        answer has the chunk's values and its keys, turned to its positions, but unturned without
        context.
        """
        n, (rows, columns) = latent.shape[2], (s // self.config.patch for s in latent.shape[-2:])
        x = self.patch_embedding(latent.to(self.dtype)).flatten(2).transpose(1, 2)
        if timesteps.dim() == 1:
            timesteps = timesteps.unsqueeze(1)
        emb = self.time_embedding(sinusoid(timesteps, self.config.freq_dim).to(x.dtype))
        if self.config.steered and audio is not None:
            emb = emb + F.pad(self.steer(audio.to(x.dtype)), (0, 0, n - audio.shape[1], 0))
        time = self.time_projection(emb).unflatten(-1, (6, -1))
        words = self.text_embedding(text.to(self.dtype))
        deaf = 0 if audio is None else (n - audio.shape[1]) * rows * columns
        sound, added = self.hear(audio, deaf)
        if context is None:
            first = torch.arange(n, device=x.device).expand(len(x), -1)
            turn = rotation(first, rows, columns, self.config.head_dim)
        else:
            turn = context.turn
        keys, values = [], []
        for index, block in enumerate(self.blocks):
            memory = None if context is None else recall(context, index)
            if index in added:
                x = x + spread(added[index], x.shape[1], deaf)
            x, key, value = block(x, time, turn, memory, words, sound)
            if keep:
                keys.append(key if context is None else rotate(key, turn))
                values.append(value)
        flow = self.unpatch(self.head(x, emb), rows, columns)
        return Pass(flow, stacked(keys), stacked(values))

    def steer(self, audio: Tensor) -> Tensor:
        """What the last `steered` tokens of [B, k, m, audio_dim] add to the time embedding:
        [B, k, dim]. Where there are fewer, those before them say nothing."""
        last = audio[..., -self.config.steered :, :]
        missing = self.config.steered - last.shape[-2]
        steering: Tensor = self.steering(F.pad(last, (0, 0, missing, 0)).flatten(-2))
        return steering

    def hear(self, audio: Tensor | None, deaf: int) -> tuple[Sound | None, dict[int, Tensor]]:
        """What blocks attend to, and what is added before some; at least one of them is nothing."""
        if audio is None or self.config.audio_form == DEAF:
            return None, {}
        if self.config.audio_form == "packed":
            return None, self.packed_audio(audio.to(self.dtype))
        return Sound(self.audio_embedding(audio.to(self.dtype)), deaf), {}

    def unpatch(self, tokens: Tensor, rows: int, columns: int) -> Tensor:
        """[B, n·rows·columns, p·p·C] → [B, C, n, rows·p, columns·p]; Wan's order of the cells."""
        p = self.config.patch
        x = tokens.view(len(tokens), -1, rows, columns, p, p, self.config.latent_channels)
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


def spread(each: Tensor, tokens: int, deaf: int) -> Tensor:
    """One vector a hearing latent [B, k, dim] for each of its tokens, of `tokens` in all."""
    run = (tokens - deaf) // each.shape[1]
    return F.pad(each.repeat_interleave(run, 1), (0, 0, deaf, 0))


def copy_text_to_audio(dit: DiT) -> None:
    """Soul's audio layers become copies of the same block's text layers, as the paper starts them.

    The embedding of sound keeps what it holds. ValueError for packed sound, which has no such
    layers.
    """
    if dit.config.audio_form != "attention":
        raise ValueError(f"{dit.config.audio_form} sound has no layers to copy text layers to")
    for block in cast(Iterable[Block], dit.blocks):
        block.audio_attn.load_state_dict(block.cross_attn.state_dict())
        block.norm_audio.load_state_dict(block.norm3.state_dict())


def stacked(layers: list[Tensor]) -> Tensor:
    """[layers, ...], or nothing of no layers."""
    return torch.stack(layers) if layers else torch.empty(0)


def recall(context: Context, layer: int) -> Memory:
    """What one layer remembers."""
    return Memory(context.keys[layer], context.values[layer], context.visible)

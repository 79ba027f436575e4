"""The diffusion transformer: Wan2.2-TI2V with an audio attention in every block.

Parameters carry Wan2.2-TI2V-5B's own names, so its checkpoint loads; what Soul adds is named
`audio_embedding`, `blocks.N.norm_audio` and `blocks.N.audio_attn`, or `packed_audio` where sound
is added before some blocks. It knows one latent at a time
and the memory it is handed: not sampling, not codebooks, not time of day.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soul.model.attention import CrossAttention, Memory, SelfAttention
from soul.model.config import DiTConfig
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


class Block(nn.Module):
    """Window attention, text attention, audio attention, feed-forward."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        dim, eps = config.dim, config.eps
        self.norm1 = LayerNorm(dim, eps, elementwise_affine=False)
        self.self_attn = SelfAttention(config)
        self.norm3 = LayerNorm(dim, eps)
        self.cross_attn = CrossAttention(config)
        attended = config.audio_form == "attention"
        self.norm_audio = LayerNorm(dim, eps) if attended else None
        self.audio_attn = CrossAttention(config) if attended else None
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
        audio: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`x` [B, tokens, dim], `time` [B, tokens, 6, dim] → (x, unrotated keys, values)."""
        shift, scale, gate, shift2, scale2, gate2 = (self.modulation.unsqueeze(0) + time).unbind(2)
        seen, key, value = self.self_attn(self.norm1(x) * (1 + scale) + shift, turn, memory)
        x = x + seen * gate
        x = x + self.cross_attn(self.norm3(x), text)
        if audio is not None and self.norm_audio is not None and self.audio_attn is not None:
            x = x + self.audio_attn(self.norm_audio(x), audio)
        x = x + self.ffn(self.norm2(x) * (1 + scale2) + shift2) * gate2
        return x, key, value


class Head(nn.Module):
    """Tokens back to latent cells."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.norm = LayerNorm(config.dim, config.eps, elementwise_affine=False)
        self.head = nn.Linear(config.dim, config.latent_channels * config.patch**2)
        self.modulation = nn.Parameter(torch.randn(1, 2, config.dim) / config.dim**0.5)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = (self.modulation.unsqueeze(0) + time.unsqueeze(2)).unbind(2)
        return self.head(self.norm(x) * (1 + scale) + shift)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward's answer: the flow and what a window would keep of it."""

    flow: Tensor  # [B, channels, h, w]
    keys: Tensor  # [layers, B, heads, tokens, head_dim], turned to the chunk's position
    values: Tensor


class DiT(nn.Module):
    """See the module's docstring. One latent a stream and pass; flow matching, v = noise − x."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        dim, p = config.dim, config.patch
        self.config = config
        channels = config.latent_channels + config.condition_channels
        self.patch_embedding = nn.Conv3d(channels, dim, (1, p, p), (1, p, p))
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        packed = config.audio_form == "packed"
        self.audio_embedding = None if packed else nn.Linear(config.audio_dim, dim)
        self.packed_audio = PackedAudio(config) if packed else None
        self.time_embedding = nn.Sequential(
            nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config)

    def forward(
        self,
        latent: Tensor,
        timesteps: Tensor,
        text: Tensor,
        audio: Tensor | None,
        context: Context | None,
    ) -> Pass:
        """One pass over one latent of each stream.

        `latent` [B, C + conditions, h, w]; `timesteps` [B] or [B, tokens] in [0, 1000];
        `text` [B, n, text_dim]; `audio` [B, m, audio_dim], packed one row a frame, or None (no
        sound: the audio layers are passed by);
        `context` None for the pivotal latent, which sees itself alone and whose keys stay unturned.
        """
        rows, columns = (side // self.config.patch for side in latent.shape[-2:])
        x = self.patch_embedding(latent.unsqueeze(2)).flatten(2).transpose(1, 2)
        if timesteps.dim() == 1:
            timesteps = timesteps.unsqueeze(1)
        emb = self.time_embedding(sinusoid(timesteps, self.config.freq_dim).to(x.dtype))
        time = self.time_projection(emb).unflatten(-1, (6, -1))
        words = self.text_embedding(text)
        sound, added = self.sound(audio)
        if context is None:
            first = torch.zeros(len(x), dtype=torch.long, device=x.device)
            turn = rotation(first, rows, columns, self.config.head_dim)
        else:
            turn = context.turn
        keys, values = [], []
        for index, block in enumerate(self.blocks):
            memory = None if context is None else recall(context, index)
            if index in added:
                x = x + added[index]
            x, key, value = block(x, time, turn, memory, words, sound)
            keys.append(key if context is None else rotate(key, turn))
            values.append(value)
        flow = self.unpatch(self.head(x, emb), rows, columns)
        return Pass(flow, torch.stack(keys), torch.stack(values))

    def sound(self, audio: Tensor | None) -> tuple[Tensor | None, dict[int, Tensor]]:
        """What the blocks attend to, and what is added before some; one of them is nothing."""
        if audio is None:
            return None, {}
        if self.packed_audio is not None:
            return None, self.packed_audio(audio)
        return self.audio_embedding(audio) if self.audio_embedding is not None else None, {}

    def unpatch(self, tokens: Tensor, rows: int, columns: int) -> Tensor:
        """[B, rows·columns, p·p·C] → [B, C, rows·p, columns·p]; Wan's order of a token's cells."""
        p = self.config.patch
        x = tokens.view(len(tokens), rows, columns, p, p, -1)
        return x.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def recall(context: Context, layer: int) -> Memory:
    """What one layer remembers."""
    return Memory(context.keys[layer], context.values[layer], context.visible)

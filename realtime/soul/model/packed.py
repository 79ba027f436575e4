"""Packed audio: all that one latent hears in one short vector, added before some blocks.

After OmniAvatar (arXiv 2506.18866), so that its weights and those of its kin load. It knows
neither where the features come from nor the transformer that they are added to.
"""

from torch import Tensor, nn

from soul.model.config import DiTConfig
from soul.timebase import FRAMES_PER_LATENT


class PackedAudio(nn.Module):
    """Features of a latent's frames → one vector for each of the blocks that hear."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.blocks = config.audio_blocks
        self.features = config.audio_dim
        self.proj = nn.Linear(FRAMES_PER_LATENT * config.audio_dim, config.audio_width)
        self.norm = nn.LayerNorm(config.audio_width)
        self.to_block = nn.ModuleList(
            nn.Linear(config.audio_width, config.dim) for _ in self.blocks
        )

    def forward(self, audio: Tensor) -> dict[int, Tensor]:
        """`audio` [B, latents, 4, audio_dim], a row a frame → block's number → [B, latents, dim].

        A clip's very first latent has one frame alone: its row stands there four times. ValueError
        for another number of rows.
        """
        if audio.shape[2:] != (FRAMES_PER_LATENT, self.features):
            raise ValueError(
                f"packed sound has {tuple(audio.shape[2:])} rows and features a latent, "
                f"expected {(FRAMES_PER_LATENT, self.features)}"
            )
        short = self.norm(self.proj(audio.flatten(2)))
        return {
            block: layer(short) for block, layer in zip(self.blocks, self.to_block, strict=True)
        }

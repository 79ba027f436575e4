"""The light decoder without its guide: what a portrait is worth to who paints it.

It sees the portrait as its pivotal latent alone: no features of its pixels, neither warped nor as
they are, and none of its pixels through a mask. Its trunk, its widths and all blocks are the guided
one's. To serve nobody: it is trained for a comparison and then forgotten.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soul.model.config import VaeConfig
from soul.model.vae import PLACES, SUBPIXELS, Decoder, Encoder, Painted, Reference, Up, placed
from soul.training.autoencoder import Painter, beside


class Unguided(Decoder):
    """Latents → pictures, all of them painted.

    It keeps the pivotal latent: latents need not repeat what that one says, so that without it the
    comparison would be one of codecs. In the place of warped features it makes as many of its own,
    and the convolution that joins them is as wide; its multiplications are within a tenth of the
    guided one's. Its losses are the same but for that of the flow, which it does not have.

    One thing is not even: the encoder was trained beside a guided decoder, and may
    leave to the portrait what a latent would otherwise hold. So it is for whoever serves with it.
    """

    def __init__(self, config: VaeConfig, trunk: int, width: int, blocks: int) -> None:
        super().__init__(config, trunk, width, blocks)  # what both have starts with equal weights
        del self.fine, self.coarse, self.flow
        self.entry = nn.Conv2d(2 * self.channels + PLACES, trunk, 1)
        self.up2 = Up(2 * width, 2 * width)
        self.head = nn.Conv2d(width, 3 * SUBPIXELS**2, 3, padding=1)

    def refer(self, portrait: Tensor, pivotal: Tensor, place: Tensor | None = None) -> Reference:
        """Where the cells lie and the pivotal latent; of the portrait nothing is kept."""
        nothing = portrait[:, :0]
        return Reference(nothing, nothing, torch.cat((placed(place, pivotal), pivotal), 1))

    def forward(self, latent: Tensor, reference: Reference, state: Tensor) -> Painted:
        """`latent` [B, 48, h, w] and the state left by the one before → four frames each.

        The mask is nought everywhere, and so is the flow.
        """
        entered = self.enter(latent, reference)
        x = self.up1(self.trunk(entered + self.memory(state)))
        x = self.middle(x.reshape(-1, 2 * self.width, *x.shape[2:]))
        flow = torch.zeros(len(x), 2, *x.shape[2:], device=x.device)
        x = self.join(self.up2(x))
        paint = F.pixel_shuffle(self.head(self.full(F.silu(x))), SUBPIXELS).float()
        return Painted(paint, paint, torch.zeros_like(paint[:, :1]), flow, entered)


def new_unguided(config: VaeConfig, encoder: Encoder, seed: int) -> Painter:
    """`autoencoder.new_light` without a guide: from one seed, both have their common weights."""

    def unguided(config: VaeConfig) -> Decoder:
        return Unguided(config, config.light_trunk, config.light_width, blocks=2)

    return beside(encoder, unguided, config, seed)

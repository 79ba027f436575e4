"""The ring of keys and values: a constant shape, integer slots, and the pivotal latent as a sink.

The sink lies beside the ring. Its keys are kept unrotated and turned anew for each chunk, at a
fixed distance behind it; the ring's were turned once, at their absolute position, when written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from soul.model.config import SoulConfig
from soul.model.rope import rotate, rotation


@dataclass(slots=True)
class Window:
    """What one stream remembers. `keys`, `values` [layers, slots, heads, tokens, head_dim]."""

    keys: Tensor
    values: Tensor
    sink_keys: Tensor  # [layers, heads, tokens, head_dim], unrotated
    sink_values: Tensor
    written: int = 0  # latents ever written; the next one's absolute position is this number

    @property
    def slots(self) -> int:
        return self.keys.shape[1]

    @property
    def slot(self) -> int:
        """Where the next latent goes."""
        return self.written % self.slots

    @property
    def filled(self) -> int:
        return min(self.written, self.slots)

    def write(self, keys: Tensor, values: Tensor) -> None:
        """Keep n clean latents' `keys`, `values` [layers, heads, n·tokens, head_dim]."""
        tokens = self.keys.shape[3]
        for key, value in zip(keys.split(tokens, 2), values.split(tokens, 2), strict=True):
            self.keys[:, self.slot] = key
            self.values[:, self.slot] = value
            self.written += 1


def empty_window(config: SoulConfig, device: torch.device, dtype: torch.dtype) -> Window:
    """A window without a sink yet and with nothing written; of clips, no memory at all."""
    dit = config.dit
    one = (dit.layers, dit.heads, 0 if config.clips else config.tokens, dit.head_dim)
    ring = (dit.layers, config.window, *one[1:])
    zeros = torch.zeros(ring, device=device, dtype=dtype)
    sink = torch.zeros(one, device=device, dtype=dtype)
    return Window(zeros, zeros.clone(), sink, sink.clone())


@dataclass(frozen=True, slots=True)
class Context:
    """The windows of a batch side by side, as every pass over one chunk reads them."""

    keys: Tensor  # [layers, B, heads, (1 + slots)·tokens, head_dim], turned: sink, ring
    values: Tensor
    visible: Tensor  # [B, 1, 1, (1 + slots + n)·tokens] bool: sink, ring, the chunk itself
    turn: Tensor  # [2, B, n·tokens, head_dim / 2], the rotation of the chunk's own positions


def gather(windows: Sequence[Window], config: SoulConfig) -> Context:
    """Lay the windows of several streams side by side; one stream of a batch sees its own only.

    Once a chunk: the sinks are turned to their fixed distance behind it here.
    """
    keys = torch.stack([w.keys for w in windows], 1)
    values = torch.stack([w.values for w in windows], 1)
    sinks = torch.stack([w.sink_keys for w in windows], 1)
    tokens, slots, device = keys.shape[4], keys.shape[2], keys.device
    positions = torch.tensor([w.written for w in windows], device=device)
    sizes = config.rows, config.columns, config.dit.head_dim
    behind = rotation(positions - config.sink_distance, *sizes)
    filled = torch.tensor([w.filled for w in windows], device=device)
    ring = torch.arange(slots, device=device) < filled.unsqueeze(-1)
    always = torch.ones(len(windows), 1, dtype=torch.bool, device=device)
    chunk = always.expand(-1, config.chunk)
    visible = torch.cat((always, ring, chunk), 1).repeat_interleave(tokens, 1)
    ring_keys = keys.permute(0, 1, 3, 2, 4, 5).flatten(3, 4)
    ring_values = values.permute(0, 1, 3, 2, 4, 5).flatten(3, 4)
    return Context(
        torch.cat((rotate(sinks, behind), ring_keys), 3),
        torch.cat((torch.stack([w.sink_values for w in windows], 1), ring_values), 3),
        visible[:, None, None],
        rotation(positions.unsqueeze(1) + torch.arange(config.chunk, device=device), *sizes),
    )

"""Latents → pictures of one stream, by any of the decoders: Wan2.2's own, tiled, eVAE, taew2_2.

One interface over four decoders; every stream begins with its pivotal latent, whose single frame
is the portrait itself and is not shown, so that each later latent is four frames. A stream's state
can be turned into plain values and back, exactly. It knows no sound, no sampling and no files.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from soul.model.wan.evae import Evae, EvaeStream
from soul.model.wan.tae import Tae, TaeStream
from soul.model.wan.tiles import TiledState, TiledVae
from soul.model.wan.vae import VaeState, WanVae


class Codec(Protocol):
    """One decoder. What it keeps of a stream is its own."""

    network: nn.Module  # its weights; empty if they are the VAE's

    def begin(self, pivotal: Tensor) -> Any:
        """The state of a stream that has shown `pivotal` [1, C, h, w]."""
        ...

    def next(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Latents [1, C, n, h, w] → frames [1, 4n, 3, H, W] about [-1, 1], and the next state."""
        ...

    def kept(self, state: Any) -> dict[str, Any]:
        """`state` as numbers, strings, lists and tensors."""
        ...

    def again(self, values: dict[str, Any]) -> Any:
        """The state that `kept` told of."""
        ...


class FullCodec:
    """Wan2.2's decoder, whole or tile by tile."""

    def __init__(self, vae: WanVae | TiledVae) -> None:
        self.vae = vae
        self.network = nn.Module()

    def begin(self, pivotal: Tensor) -> VaeState | TiledState:
        return self.next(pivotal.unsqueeze(2), self.vae.open_decoder())[1]

    def next(self, latents: Tensor, state: Any) -> tuple[Tensor, VaeState | TiledState]:
        return self.vae.decode_next(latents.transpose(1, 2).to(dtype_of(self.vae)), state)

    def kept(self, state: VaeState | TiledState) -> dict[str, Any]:
        if isinstance(state, TiledState):
            return {"tiles": [self.kept(tile) for tile in state.tiles], "shape": sides(state)}
        features = list(state.features)
        return {"features": features, "latents": state.latents, "shape": sides(state)}

    def again(self, values: dict[str, Any]) -> VaeState | TiledState:
        shape = torch.Size(values["shape"])
        if "tiles" in values:
            return TiledState(tuple(one_vae_state(tile) for tile in values["tiles"]), shape)
        return one_vae_state(values)


def dtype_of(vae: WanVae | TiledVae) -> torch.dtype:
    """What the VAE's layers compute in."""
    inner = vae.vae if isinstance(vae, TiledVae) else vae
    return next(inner.parameters()).dtype


def sides(state: VaeState | TiledState) -> list[int]:
    return list(state.shape or ())


def one_vae_state(values: dict[str, Any]) -> VaeState:
    return VaeState(tuple(values["features"]), values["latents"], None, torch.Size(values["shape"]))


class EvaeCodec:
    """Soul's eVAE."""

    def __init__(self, evae: Evae) -> None:
        self.network: nn.Module = evae
        self.evae = evae

    def begin(self, pivotal: Tensor) -> EvaeStream:
        return self.next(pivotal.unsqueeze(2), EvaeStream())[1]

    def next(self, latents: Tensor, state: EvaeStream) -> tuple[Tensor, EvaeStream]:
        """Moves `state` itself on."""
        frames = self.evae(latents.to(self.evae.head.conv.weight.dtype), state)
        return frames.transpose(1, 2), state

    def kept(self, state: EvaeStream) -> dict[str, Any]:
        return {"pasts": dict(state.pasts), "begun": state.begun}

    def again(self, values: dict[str, Any]) -> EvaeStream:
        return EvaeStream(dict(values["pasts"]), values["begun"])


class TaeCodec:
    """The light codec taew2_2."""

    def __init__(self, tae: Tae) -> None:
        self.network: nn.Module = tae
        self.tae = tae

    def begin(self, pivotal: Tensor) -> TaeStream:
        return self.next(pivotal.unsqueeze(2), TaeStream())[1]

    def next(self, latents: Tensor, state: TaeStream) -> tuple[Tensor, TaeStream]:
        """Moves `state` itself on."""
        dtype = next(self.tae.parameters()).dtype
        return self.tae.decode(latents.to(dtype), state).transpose(1, 2), state

    def kept(self, state: TaeStream) -> dict[str, Any]:
        return {"pasts": dict(state.pasts), "begun": state.begun}

    def again(self, values: dict[str, Any]) -> TaeStream:
        return TaeStream(dict(values["pasts"]), values["begun"])

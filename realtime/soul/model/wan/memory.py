"""How much memory a large model takes, told before its weights are read.

The very passes of a rollout run on torch's meta device, which has shapes and no numbers, while a
meter follows every tensor that comes and goes. What kernels take for themselves beside tensors is
not seen: `HEADROOM` stands for it. It knows no files.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from soul.model.load import WeightsError
from soul.model.wan.actor import WanSoul
from soul.model.wan.codec import FullCodec
from soul.model.wan.ears import LATENTS_AT_ONCE
from soul.model.wan.tiles import TiledVae
from soul.model.wan.whisper import TOKENS_PER_LATENT
from soul.model.window import empty_window, gather
from soul.timebase import FRAMES_PER_LATENT

HEADROOM = 0.1  # of all tensors: libraries' workspaces, an allocator's gaps; not measured on a GPU
TILED = 2  # times a picture in float32: tiles overlap, and are joined into another
GIGA = 1e9


class Meter(TorchDispatchMode):
    """Bytes of the tensors that are made inside, as long as anything refers to them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = 0
        self.peak = 0
        self._live: dict[int, tuple[int, weakref.ref[Any]]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {storage_of(t) for t in tensors((args, kwargs))}
        answer = func(*args, **(kwargs or {}))
        for tensor in tensors(answer):
            if storage_of(tensor) not in given:  # else it is a view, or was written in place
                self._count(tensor)
        return answer

    def _count(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), storage_of(tensor)
        if key in self._live:
            return
        gone = weakref.ref(storage, lambda _: self._forget(key))
        self._live[key] = storage.nbytes(), gone
        self.held += storage.nbytes()
        self.peak = max(self.peak, self.held)

    def _forget(self, key: int) -> None:
        self.held -= self._live.pop(key)[0]


class Fused(TorchFunctionMode):
    """Attention that keeps no scores, as GPUs' fused kernels do; on `meta` torch writes them out.

    For counting alone: the answer has its shape and no numbers.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            query, value = args[0], args[2]
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return func(*args, **(kwargs or {}))


def tensors(found: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]


def storage_of(tensor: Tensor) -> int:
    """What tells one storage from another."""
    key: int = tensor.untyped_storage()._cdata
    return key


def size(module: nn.Module) -> int:
    """Bytes of a module's weights."""
    return sum(t.nbytes for t in (*module.parameters(), *module.buffers()))


def held(values: Any) -> int:
    """Bytes of all tensors in `values`; each storage once, and whole."""
    return sum({storage_of(t): t.untyped_storage().nbytes() for t in tensors(values)}.values())


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes. `text` is the prompts' encoder, which may live elsewhere."""

    transformer: int
    codec: int
    ear: int
    stream: int  # keys and values, and what the decoder remembers
    working: int  # the most that one pass holds beside all this
    text: int = 0

    @property
    def total(self) -> int:
        """On the model's own device, with what libraries take."""
        own = self.transformer + self.codec + self.ear + self.stream + self.working
        return int(own * (1 + HEADROOM))

    def told(self) -> str:
        """The parts, for people."""
        parts = {
            "transformer": self.transformer,
            "codec": self.codec,
            "ear": self.ear,
            "stream": self.stream,
            "at work": self.working,
        }
        return ", ".join(f"{name} {count / GIGA:.1f}" for name, count in parts.items())


@torch.no_grad()
def needs(model: WanSoul, text: int = 0) -> Needs:
    """What one stream of `model`, which lies on the meta device, takes."""
    with Fused():
        single = one_tile(model)
        painter = single if isinstance(model.codec, FullCodec) else model
        painting = first_painting(painter)
        window = empty_window(model.config, model.device, model.dit.dtype)
        keys = window.keys, window.values, window.sink_keys, window.sink_values
        # Tiles' pictures wait until all are there, and are blended in float32.
        shown = 0 if single is model else TILED * held(picture_of(model)) * FRAMES_PER_LATENT
        peaks = [
            *passes(model),
            shown + metered(lambda: painter.codec.next(latents_of(painter, 1), painting)),
            shown + metered(lambda: first_painting(painter)),
            shown + metered(lambda: single.still(picture_of(single))),
            metered(lambda: listening(model)),
        ]
    return Needs(
        transformer=size(model.dit),
        codec=size(model.inner_vae) + size(model.codec.network),
        ear=size(model.ear),
        stream=held(keys) + held(model.codec.kept(painting)),
        working=max(peaks),
        text=text,
    )


def one_tile(model: WanSoul) -> WanSoul:
    """The model of one tile's pictures alone, where its VAE works in tiles; else itself.

    All that the other tiles remember lies in the CPU's memory.
    """
    if not isinstance(model.vae, TiledVae):
        return model
    vae, side = model.inner_vae, model.vae.tiling.side * model.inner_vae.config.spatial
    size = min(model.config.height, side), min(model.config.width, side)
    codec = FullCodec(vae) if isinstance(model.codec, FullCodec) else model.codec
    config = replace(model.config, image_size=size)
    return WanSoul(config, model.dit, vae, codec, model.ear, model.scribe, model.codebook)


def metered(run: Callable[[], object]) -> int:
    """The most bytes that `run` holds at once."""
    meter = Meter()
    with meter:
        run()
    return meter.peak


def latents_of(model: WanSoul, count: int) -> Tensor:
    config = model.config
    return torch.zeros(1, config.vae.channels, count, *config.cells, device=model.device)


def picture_of(model: WanSoul) -> Tensor:
    return torch.zeros(1, 3, model.config.height, model.config.width, device=model.device)


def first_painting(model: WanSoul) -> Any:
    """What the decoder keeps once its memory is full: after the pivotal latent and one more."""
    state = model.codec.begin(latents_of(model, 1).squeeze(2))
    return model.codec.next(latents_of(model, 1), state)[1]


def listening(model: WanSoul) -> Tensor:
    """As many latents as are heard at once."""
    count = min(LATENTS_AT_ONCE, model.config.chunk)
    return model.hear(torch.zeros(count, model.config.latent_samples, device=model.device))


def passes(model: WanSoul) -> list[int]:
    """The most bytes of a denoising pass; of a stream also of the clean pass that is kept."""
    config, device, dit = model.config, model.device, model.dit
    given = 1 + config.overlap if config.clips else 0
    heard = config.chunk + config.overlap
    tokens = TOKENS_PER_LATENT
    if config.dit.audio_form == "packed":
        tokens = config.vae.temporal
    words = torch.zeros(1, config.dit.text_len, config.dit.text_dim, device=device)
    audio = torch.zeros(1, heard, tokens, config.dit.audio_dim, device=device, dtype=dit.dtype)
    latents = latents_of(model, given + config.chunk)
    beside = latents.new_zeros(1, config.dit.condition_channels, *latents.shape[2:])
    timesteps = torch.zeros(1, given + config.chunk, device=device)
    window = empty_window(config, device, dit.dtype)

    def one(keep: bool) -> None:
        context = None if config.clips else gather([window], config)
        dit(torch.cat((latents, beside), 1), timesteps, words, audio, context, keep=keep)

    return [metered(lambda: one(False))] + ([] if config.clips else [metered(lambda: one(True))])


def free_on(device: torch.device) -> int:
    """Bytes that may still be taken on `device`."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return int(psutil.virtual_memory().available)


def check_room(needed: int, free: int, what: str, told: str) -> None:
    """WeightsError if `what` takes more than there is; `told` are the parts, and where."""
    if needed > free:
        raise WeightsError(
            f"{what} needs {needed / GIGA:.1f} GB ({told}) and {free / GIGA:.1f} GB are free; "
            "smaller pictures, tiles or eight-bit weights need less"
        )

"""A large model as the stages train it: the transformer of a folder, in parts on every process.

Words, sound and latents were encoded once: no encoder is here. It reads folders of this project's
layout, each process its own part of every tensor; it knows no stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from soul.checkpoints.compare import compare
from soul.checkpoints.layout import open_part
from soul.checkpoints.modules import open_codebook, with_audio
from soul.checkpoints.parts import DIT
from soul.checkpoints.sources import CheckpointError, Tensors
from soul.model.codebook import Codebook
from soul.model.config import SoulConfig
from soul.model.dit import DiT
from soul.model.sample import Soul
from soul.training.tune.clips import Words
from soul.training.tune.crew import Group, shard
from soul.training.tune.lora import adapt, bare, first, is_pair, is_trained, is_whole
from soul.training.tune.settings import PRECISIONS, LoraConfig, TuneError, Tuning
from soul.training.tune.states import named


class Backbone(Soul):
    """The transformer, the codebook, and words that are encoded already."""

    def __init__(self, config: SoulConfig, words: Words, codebook: Codebook) -> None:
        with torch.device("meta"):
            super().__init__(config)
        del self.encoder, self.decoder, self.audio
        self.codebook = codebook
        self.text = words  # type: ignore[assignment]

    def words(self, prompts: Sequence[str]) -> Tensor:
        return self.text(prompts, self.device)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Opened:
    """How a model is to be opened."""

    folder: Path
    config: SoulConfig
    words: Words
    tuning: Tuning
    group: Group

    def model(self, trained: bool) -> Backbone:
        """The folder's model in parts; weights that stay as they are are kept in the precision.

        Raises CheckpointError for weights that are broken or of another shape.
        """
        device, tuning = self.group.device, self.tuning
        precision = PRECISIONS[tuning.precision]
        found = open_part(self.folder, DIT)
        entries = with_audio(found, self.config.dit)
        model = Backbone(self.config, self.words, open_codebook(self.folder, str(device)))
        check(model, entries, self.folder)
        model.dit.to(precision)
        if trained and tuning.lora.rank:
            need_hearing(model.dit, found, tuning.lora, self.folder)
            adapt(model.dit, tuning.lora)
        for name, parameter in model.dit.named_parameters():
            if trained and is_trained(name, tuning.lora):  # small steps are lost in bfloat16
                parameter.data = parameter.data.float()
        shard(model.dit, self.group, precision, trained and tuning.recompute)
        model.dit.to_empty(device=device)
        fill(model.dit, entries, tuning.seed)
        return model.requires_grad_(False)


def need_hearing(dit: DiT, entries: Tensors, lora: LoraConfig, folder: Path) -> None:
    """TuneError if layers that hear are new, and would be trained by pairs alone."""
    new = [name for name, _ in dit.named_parameters() if name not in entries]
    if any(not is_whole(name, lora) for name in new):
        raise TuneError(
            f"{folder} hears nothing yet, and pairs alone do not teach it to; expected "
            "lora.whole=audio_embedding,norm_audio,audio_attn, or lora.rank 0"
        )


def check(model: Soul, entries: Tensors, folder: Path) -> None:
    """CheckpointError lists the tensors that do not fit."""
    expected = {name: tuple(p.shape) for name, p in model.dit.named_parameters()}
    difference = compare(expected, {name: entry.shape for name, entry in entries.items()})
    if difference:
        raise CheckpointError(difference.told(f"{folder}: {DIT}"))


@torch.no_grad()
def fill(dit: DiT, entries: Tensors, seed: int) -> None:
    """Read every weight; pairs, which are in no folder, follow from `seed`."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in named(dit).items():
        if is_pair(name):
            value = first(name, parameter.shape, generator)
        else:
            value = entries[bare(name)].read()
        place(parameter, value)


def place(parameter: Tensor, value: Tensor) -> None:
    """Write this process's part of `value`, which every process has whole."""
    value = value.to(parameter.device, parameter.dtype)
    if isinstance(parameter, DTensor):
        mesh, placements = parameter.device_mesh, parameter.placements
        value = distribute_tensor(value, mesh, placements, src_data_rank=None)
    parameter.copy_(value)


def check_config(config: SoulConfig, tuning: Tuning, folder: Path) -> None:
    """TuneError if the size that a run is told is none that the model can make."""
    side = config.vae.spatial * config.dit.patch
    if tuning.height % side or tuning.width % side:
        raise TuneError(
            f"{tuning.height} x {tuning.width} is no size that {folder} can make; "
            f"expected multiples of {side}"
        )

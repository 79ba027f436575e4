"""What a stage has learned → a folder of this project's layout, or an adapter beside it.

The parts are put together on the process that writes; all others take part in that. Files that
training did not change are linked, not copied, where the disk can.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor

from soul.checkpoints.layout import cast, finish, open_part, whole, write_part
from soul.checkpoints.lora import merge, read_pairs
from soul.checkpoints.manifest import CLIP, MANIFEST, STREAM, Manifest, described, read_manifest
from soul.checkpoints.parts import DIT
from soul.checkpoints.sources import Tensors, held
from soul.model.config import SoulConfig, to_dict
from soul.model.load import CONFIG
from soul.training.tune.lora import is_pair, layers_of
from soul.training.tune.settings import LoraConfig

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"  # PEFT's names


def gathered(kept: Mapping[str, Tensor], first: bool) -> dict[str, Tensor]:
    """Whole tensors on the first process's CPU, nothing on the others; all must call this."""
    found: dict[str, Tensor] = {}
    for name, tensor in kept.items():
        value = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if first:
            found[name] = value.cpu()
    return found


def write_model(
    source: Path,
    out: Path,
    learned: Mapping[str, Tensor],
    config: SoulConfig,
    lora: LoraConfig,
    kind: torch.dtype,
) -> Manifest:
    """`source` with what was learned, as the new folder `out`, or nothing at all.

    Pairs are merged into the weights that they change. Matrices become `kind`. The manifest tells
    as which they were trained, which `config` is: guided, they would be taken for one of clips.
    """
    old = read_manifest(source / MANIFEST)
    tensors = changed(open_part(source, DIT), learned, lora, out)
    with whole(out) as work:
        parts = {part: names for part, names in old.parts.items() if part != DIT}
        kept = {name for names in parts.values() for name in names}
        for name in kept:
            link(source / name, work / name)
        written = write_part(work, DIT, tensors, cast(kind))
        (work / CONFIG).write_text(json.dumps(to_dict(config), indent=2) + "\n")
        rest = tuple(file for file in old.files if file.path in kept)
        manifest = replace(
            old,
            name=config.name,
            files=(described(work, CONFIG), *written, *rest),
            parts={DIT: tuple(file.path for file in written), **parts},
            audio=config.dit.audio_form,
            mode=CLIP if config.clips else STREAM,
        )
        finish(work, manifest)
    return manifest


def changed(base: Tensors, learned: Mapping[str, Tensor], lora: LoraConfig, out: Path) -> Tensors:
    """The transformer's tensors with what was learned in their place, or merged into them."""
    entries = {name: held(value) for name, value in learned.items()}
    pairs = {name: entry for name, entry in entries.items() if is_pair(name)}
    whole = base | {name: entry for name, entry in entries.items() if name not in pairs}
    if not pairs:
        return whole
    alpha = lora.scale * lora.rank
    return merge(whole, read_pairs(pairs, layers_of(pairs), alpha, out), 1.0, out)


def write_adapter(pairs: Mapping[str, Tensor], lora: LoraConfig, out: Path) -> None:
    """The pairs alone, as PEFT writes them: `soul convert --lora` reads them, and others do."""
    out.mkdir(parents=True, exist_ok=True)
    told = {
        "peft_type": "LORA",
        "r": lora.rank,
        "lora_alpha": lora.scale * lora.rank,
        "target_modules": list(lora.targets),
        "bias": "none",
    }
    (out / ADAPTER_CONFIG).write_text(json.dumps(told, indent=2) + "\n")
    fresh = out / f"{ADAPTER}.new"
    save_file({name: value.contiguous() for name, value in pairs.items()}, fresh)
    fresh.replace(out / ADAPTER)


def link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk has no such thing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

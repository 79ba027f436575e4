"""Checkpoints in and out: a folder with `config.json` and safetensors; strict by name and shape."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from soul.model.config import SoulConfig, from_dict, to_dict
from soul.model.sample import Soul

SHIPPED = Path(__file__).parent / "weights"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PARTS = "manifest.json"  # a folder that `soul convert` wrote: its parts, each in files of its own


class WeightsError(Exception):
    """Weights that are missing, broken or of the wrong shape; the sentence says which."""


def first_line(error: Exception) -> str:
    """What another library says, as far as it fits into a sentence."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def folder_of(name: str) -> Path:
    """The folder of a shipped model's name, or the folder that `name` is the path of."""
    shipped = SHIPPED / name
    return shipped if shipped.is_dir() else Path(name)


def read_config(folder: Path) -> SoulConfig:
    path = folder / CONFIG
    try:
        return from_dict(json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        shipped = sorted(p.name for p in SHIPPED.glob("*") if p.is_dir())
        raise WeightsError(
            f"no model at {str(folder)!r}: expected a folder with {CONFIG} and {WEIGHTS}, "
            f"or one of the shipped models {shipped}"
        ) from None
    except (ValueError, TypeError) as error:  # a ConfigError is a ValueError, so is broken JSON
        raise WeightsError(f"{path} is not a Soul config: {error}") from None


def check(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor], path: Path) -> None:
    """WeightsError names the first missing, unexpected or misshaped tensor and counts them."""
    for kind, names in (
        ("lacks", sorted(expected.keys() - found.keys())),
        ("has unexpected", sorted(found.keys() - expected.keys())),
    ):
        if names:
            raise WeightsError(f"{path} {kind} {len(names)} tensors, the first is {names[0]!r}")
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            raise WeightsError(
                f"{path}: {name} has shape {tuple(found[name].shape)}, "
                f"expected {tuple(tensor.shape)}"
            )


def check_device(device: str) -> None:
    """WeightsError if no tensor can be made on `device`."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise WeightsError(
            f"the device {device!r} is not usable here; expected cpu, or cuda with a GPU"
        ) from None


def load(name: str = "soul-mini", device: str = "cpu", dtype: torch.dtype = torch.float32) -> Soul:
    """The model `name` (shipped, or a folder's path) on `device`, ready to serve.

    Raises WeightsError, one sentence, if anything is missing or not as the config says, or if
    `device` cannot be used.
    """
    check_device(device)
    folder = folder_of(name)
    config = read_config(folder)
    path = folder / WEIGHTS
    try:
        found = load_file(path)
    except FileNotFoundError:
        if (folder / PARTS).is_file():
            raise WeightsError(
                f"{folder} is a converted checkpoint, which soul animate and soul serve run; "
                f"expected a model with {WEIGHTS}"
            ) from None
        raise WeightsError(f"weights are missing: expected {path}") from None
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {error}") from None
    with torch.device("meta"):
        model = Soul(config)
    check(model.state_dict(), found, path)
    model.load_state_dict({k: v.to(device, dtype) for k, v in found.items()}, assign=True)
    return ready(model)


def ready(model: Soul) -> Soul:
    """`model` for serving: no gradients, convolutions in the layout that CPUs are fastest in."""
    for part in (model.encoder, model.decoder):
        nn.Module.to(part, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval().requires_grad_(False)


def on_disk(module: nn.Module, dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    """The tensors of a file of `module`: what was learned in `dtype`, on the CPU.

    What was measured and not learned (means, deviations, centroids, τ) is kept in full: a latent's
    mean may be larger than half precision's largest number.
    """
    measured = {name for name, _ in module.named_buffers()}
    return {
        name: value.to("cpu", torch.float32 if name in measured else dtype).contiguous()
        for name, value in module.state_dict().items()
    }


def save(model: Soul, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write `model` as `load` reads it; half precision on disk unless told otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(on_disk(model, dtype), folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(to_dict(model.config), indent=2) + "\n")

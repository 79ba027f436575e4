"""Where the parts of a large model lie in the folders that people have.

The official repository, the diffusers layout, a student's or an adapter's single file, and this
project's own layout. It finds and opens; it does not judge whether the tensors are right.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from soul.checkpoints.layout import is_converted, open_part
from soul.checkpoints.lora import DOWN, UP, bare
from soul.checkpoints.manifest import FETCHED, MANIFEST, Manifest, Told, read_manifest, verify
from soul.checkpoints.names import text_from_official, text_from_transformers, vae_from_official
from soul.checkpoints.sources import (
    INDEX,
    PICKLES,
    CheckpointError,
    Tensors,
    open_tensors,
)

DIT, VAE, TEXT, TOKENIZER = "dit", "vae", "text", "tokenizer"
# Files of tensors that stand beside a transformer and are none.
OTHERS = (
    "Wan2.1_VAE",
    "Wan2.2_VAE",
    "models_t5",
    "models_clip",
    "taew",
    "lighttae",
    "vae",
    "wav2vec",
)
OFFICIAL = {VAE: "Wan2.*_VAE.*", TEXT: "models_t5_umt5-xxl-enc-bf16.*"}
DIFFUSERS = {VAE: "vae", TEXT: "text_encoder"}
WANTED = {
    VAE: "Wan2.2_VAE.pth, or diffusers' folder vae/",
    TEXT: "models_t5_umt5-xxl-enc-bf16.pth, or diffusers' folder text_encoder/",
    TOKENIZER: "google/umt5-xxl/ or tokenizer/ with tokenizer.json or spiece.model",
}
TOKENIZERS = ("google/umt5-xxl", "tokenizer")
VOCABULARIES = ("tokenizer.json", "spiece.model")
NAMES: dict[str, Callable[[str], str]] = {VAE: vae_from_official, TEXT: text_from_official}


@dataclass(frozen=True, slots=True)
class Part:
    """A part's tensors by the names of the libraries that will hold them, and their file."""

    tensors: Tensors
    path: Path


def is_tensors(path: Path) -> bool:
    return path.suffix in (".safetensors", *PICKLES) or path.name.endswith(INDEX)


def file_of(folder: Path) -> Path:
    """The one file of a transformer's tensors in `folder`, an index before its shards."""
    found = sorted(p for p in folder.glob("*") if is_tensors(p) and not p.name.startswith(OTHERS))
    indices = [p for p in found if p.name.endswith(INDEX)]
    if indices:
        found = indices
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointError(
            f"{folder} holds no weights; expected diffusion_pytorch_model*.safetensors, "
            "a folder transformer/, or one file of tensors"
        )
    names = ", ".join(p.name for p in found)
    if any("-of-" in p.name for p in found):
        raise CheckpointError(f"{folder} holds shards without their {INDEX}: {names}")
    raise CheckpointError(f"{folder} holds several files of tensors: {names}; name one of them")


def transformer(source: Path) -> Part:
    """The transformer, or the adapter, under Wan's own names; LoRA tensors keep theirs."""
    if source.is_file():
        return renamed(source, bare_parameter)
    if not source.is_dir():
        raise CheckpointError(f"{source} is missing; expected a folder or a file of tensors")
    if is_converted(source):
        return Part(open_part(source, DIT), source)
    inner = source / "transformer"
    return renamed(file_of(inner if inner.is_dir() else source), bare_parameter)


def bare_parameter(name: str) -> str:
    return name if DOWN.fullmatch(name) or UP.fullmatch(name) else bare(name)


def renamed(path: Path, name_of: Callable[[str], str]) -> Part:
    """All tensors of `path` under new names; CheckpointError if two get the same one."""
    found = open_tensors(path)
    tensors: Tensors = {}
    for name, entry in found.items():
        new = name_of(name)
        if new in tensors and (new, entry.shape) != ("shared.weight", tensors[new].shape):
            raise CheckpointError(f"{path} holds {new} twice, once as {name}")
        tensors[new] = entry
    return Part(tensors, path)


def part_of(part: str, places: list[Path]) -> Part:
    """The VAE or the text encoder, from the first of `places` that has one."""
    for place in places:
        if is_converted(place):
            return Part(open_part(place, part), place)
        inner = place / DIFFUSERS[part]
        if inner.is_dir():
            return renamed(file_in(inner), text_from_transformers if part == TEXT else str)
        official = [p for p in sorted(place.glob(OFFICIAL[part])) if is_tensors(p)]
        if official:
            return renamed(official[0], NAMES[part])
    raise missing(part, places)


def file_in(folder: Path) -> Path:
    """The file of tensors in one of diffusers' folders."""
    found = sorted(p for p in folder.glob("*") if is_tensors(p))
    for suffix in (INDEX, ".safetensors"):
        if whole := [p for p in found if p.name.endswith(suffix)]:
            return whole[0]
    if found:
        return found[0]
    raise CheckpointError(f"{folder} holds no weights; expected a file of tensors")


def tokenizer_of(places: list[Path]) -> Path:
    """The tokenizer's folder, from the first of `places` that has one."""
    for place in places:
        for inner in TOKENIZERS:
            folder = place / inner
            if any((folder / name).is_file() for name in VOCABULARIES):
                return folder
    raise missing(TOKENIZER, places)


def missing(part: str, places: list[Path]) -> CheckpointError:
    where = " nor ".join(map(str, places))
    return CheckpointError(
        f"neither {where} has the {part}; expected {WANTED[part]}"
        if len(places) > 1
        else f"{where} has no {part}; expected {WANTED[part]}, or --base with a folder that has it"
    )


def told_of(place: Path) -> tuple[Path, Manifest] | None:
    """The fetched or converted folder that `place` is or lies in, and what it says of itself."""
    folder = place if place.is_dir() else place.parent
    for home, name in ((folder, MANIFEST), (folder, FETCHED), (folder.parent, FETCHED)):
        if (home / name).is_file():
            return home, read_manifest(home / name)
    return None


def undamaged(place: Path, told: Told) -> None:
    """CheckpointError if a file of a fetched or converted folder is not as its manifest says.

    What is damaged would get a new hash when it is converted, and be called whole from then on.
    Files that are gone are not missed: whoever needs one says so.
    """
    found = told_of(place)
    if found is None:
        return
    folder, manifest = found
    there = tuple(file for file in manifest.files if (folder / file.path).is_file())

    def checking(name: str, done: int, total: int) -> None:
        told(f"checking {name}", done, total)

    verify(folder, replace(manifest, files=there), checking)

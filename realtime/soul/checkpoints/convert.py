"""Any checkpoint of this family → this project's layout.

Finds the parts, gives their tensors this project's names, merges LoRA, compares names and shapes
with the modules that will hold them, and writes one folder or nothing. Weights pass through one
tensor at a time. It knows no network and no command line.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from soul.checkpoints import families
from soul.checkpoints.audio_forms import AUDIO_FRONT, FRONT, PLAIN, Form, chosen, form_of
from soul.checkpoints.catalogue import CATALOGUE, known
from soul.checkpoints.compare import Shape, compare, grouped, row
from soul.checkpoints.families import FAMILIES, Family, family_of, is_audio
from soul.checkpoints.layout import (
    SHARD_BYTES,
    Wanted,
    as_found,
    bytes_of,
    cast,
    finish,
    is_converted,
    need_disk,
    need_memory,
    open_part,
    whole,
    write_part,
)
from soul.checkpoints.lora import alpha_of, has_pairs, merge, read_pairs, split
from soul.checkpoints.manifest import (
    MANIFEST,
    File,
    Manifest,
    Origin,
    Told,
    described,
    read_manifest,
    untold,
)
from soul.checkpoints.parts import (
    DIT,
    TEXT,
    TOKENIZER,
    VAE,
    Part,
    part_of,
    tokenizer_of,
    told_of,
    transformer,
    undamaged,
)
from soul.checkpoints.sources import CheckpointError, Tensors, open_tensors
from soul.model.config import (
    DEAF,
    SOUL_5B,
    AudioConfig,
    DiTConfig,
    SoulConfig,
    in_clips,
    to_dict,
)
from soul.model.load import CONFIG, WeightsError, read_config

# As Wan2.2-TI2V-5B is sampled (its own configuration): many steps, guided.
WAN_STEPS, WAN_SOLVER, WAN_GUIDANCE = 50, "unipc", 5.0
# Public code hears the whole recording; here 3 s of past, and one picture (two at 24) ahead.
WAV2VEC2 = {
    25: AudioConfig(past_mels=300, future_mels=5, ear="wav2vec2"),
    24: AudioConfig(past_mels=300, future_mels=8, ear="wav2vec2"),
}
STUDENTS_CHUNK = 3  # latents that the public causal students make together
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
BODY = "blocks.0.ffn.0.weight"  # an adapter has none: it changes another's
# Whose licence a folder is under that does not say it, by what its tensors show.
LIKELY = {
    ("talkverse", "wan2.2-ti2v-5b", False): "talkverse-5b",
    ("packed", "wan2.2-ti2v-5b", False): "jogg-avatar-v2v-5b",
    ("packed", "wan2.1-t2v-1.3b", False): "omniavatar-1.3b",
    ("packed", "wan2.1-t2v-1.3b", True): "livetalk-1.3b",
    ("flashhead", "wan2.1-t2v-1.3b", True): "soulx-flashhead-1.3b",
    ("abot-world", "wan2.2-ti2v-5b", True): "abot-world-0-5b-lf",
}

Agree = Callable[[Origin], None]


def agreed(origin: Origin) -> None:
    """Whoever calls has seen to the licences."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to convert."""

    base: Path | None = None  # where parts are that the source lacks
    loras: tuple[tuple[Path, float], ...] = ()  # merged in, each times its number
    kind: torch.dtype = torch.bfloat16  # of the transformer's and text encoder's matrices
    partial: bool = False  # leave out what cannot be expressed, rather than refuse
    origin: str = ""  # the catalogue's name of the source, where its folder does not tell
    shard_bytes: int = SHARD_BYTES
    families: tuple[Family, ...] = FAMILIES


@dataclass(frozen=True, slots=True)
class Transformer:
    """The transformer as it will be written."""

    family: Family
    form: Form
    config: DiTConfig
    tensors: Tensors
    front: Tensors  # of what makes audio tokens of features; mostly nothing
    complete: bool  # the source had a body of its own
    left_out: tuple[str, ...]


def convert(
    source: Path, out: Path, options: Options, told: Told = untold, agree: Agree = agreed
) -> Manifest:
    """Write `source` to the new folder `out` in this project's layout, or nothing at all.

    `agree` sees every origin before anything is written, and raises if its licence is refused.
    Files of a folder that tells their hashes are compared with them first.
    Raises CheckpointError: one sentence, with a list of tensors under it where they do not fit.
    """
    dit = read_transformer(source, options)
    places = [p if p.is_dir() else p.parent for p in (source, options.base) if p is not None]
    vae, text = part_of(VAE, places), part_of(TEXT, places)
    check(vae, families.vae_shapes(dit.family.vae))
    check(text, families.text_shapes(dit.family.text))
    tokenizer = tokenizer_of(places)
    origins = origins_of(source, dit, options)
    for origin in origins:
        agree(origin)
    written: dict[str, tuple[Tensors, Wanted]] = {
        DIT: (dit.tensors, cast(options.kind)),
        VAE: (vae.tensors, as_found),
        TEXT: (text.tensors, cast(options.kind)),
    }
    if dit.front:
        written[AUDIO_FRONT] = (dit.front, as_found)
    sizes = {f"{p} {k}": n for p, w in written.items() for k, n in bytes_of(*w).items()}
    need_memory(sizes, f"converting {source}")
    need_disk(out, sum(sizes.values()), f"converting {source}")
    for place in dict.fromkeys(p for p in (source, options.base) if p is not None):
        undamaged(place, told)
    with whole(out) as work:
        parts = {
            part: write_part(work, part, tensors, wanted, options.shard_bytes, told)
            for part, (tensors, wanted) in written.items()
        }
        parts[TOKENIZER] = copied(tokenizer, work / TOKENIZER)
        config = soul_config(out.name, dit, origins)
        (work / CONFIG).write_text(json.dumps(to_dict(config), indent=2) + "\n")
        manifest = manifest_of(out.name, dit, origins, parts, described(work, CONFIG))
        finish(work, manifest)
    return manifest


def read_transformer(source: Path, options: Options) -> Transformer:
    """The source's transformer, whole: an adapter with its base, every LoRA merged."""
    mine = transformer(source)
    complete = BODY in mine.tensors
    base = Part({}, source) if complete else based(mine, options)
    alpha = alpha_of(mine.path) if has_pairs(mine.tensors) else None
    body = source if complete else options.base
    dit = assemble(mine, base, options, started(body), alpha)
    tensors = dit.tensors
    for path, scale in options.loras:
        tensors = with_lora(tensors, open_tensors(path), path, alpha_of(path), scale)
    front, left_out = inherited(body)
    return replace(dit, tensors=tensors, front=front | dit.front, left_out=left_out + dit.left_out)


def assemble(
    mine: Part, base: Part, options: Options, start: DiTConfig | None, alpha: float | None
) -> Transformer:
    """`mine` over `base`, in this project's names; nothing is read but shapes.

    `start` are the sizes of a folder of this layout, None for any other; `alpha` that of the
    pairs in `mine`. Raises CheckpointError if the tensors are not those of a transformer.
    """
    pairs, own = split(mine.tensors)
    tensors = base.tensors | own
    form = form_of(tensors)
    shown = {name: entry.shape for name, entry in tensors.items()}
    family = family_of(shown, options.families, str(mine.path))
    sizes = family.dit if start is None else start
    tensors, front, left_out = placed(tensors, form, sizes, options.partial, mine.path)
    config = form.settings(sizes, {k: v.shape for k, v in tensors.items()})
    tensors = form.made(config) | tensors
    if pairs and form.alpha_told and alpha is None:
        raise CheckpointError(
            f"{mine.path} does not say its LoRA's alpha; "
            "expected lora_alpha in a config.json beside it"
        )
    heard = form.hears or any(is_audio(name) for name in tensors)
    check(Part(tensors, mine.path), families.dit_shapes(config, heard))
    if pairs:
        tensors = with_lora(tensors, pairs, mine.path, alpha, 1.0)
    return Transformer(family, form, config, tensors, front, BODY in own, left_out)


def based(adapter: Part, options: Options) -> Part:
    """The base of an adapter; CheckpointError if there is none."""
    if options.base is not None:
        base = transformer(options.base)
        if not changes(adapter.tensors, base.tensors):
            raise CheckpointError(
                f"{adapter.path} is of another family: it holds neither a Wan transformer nor "
                f"anything that changes one, but {len(adapter.tensors)} tensors such as "
                f"{min(adapter.tensors)}"
            )
        return base
    if has_pairs(adapter.tensors):
        raise CheckpointError(
            f"{adapter.path} changes a model and is none itself; expected --base with the folder "
            "of the model that it changes"
        )
    return Part({}, adapter.path)


def changes(adapter: Tensors, base: Tensors) -> bool:
    """Whether anything in `adapter` has to do with the model of `base`."""
    return has_pairs(adapter) or form_of(adapter) is not PLAIN or bool(adapter.keys() & base.keys())


def started(body: Path | None) -> DiTConfig | None:
    """The sizes that a folder of this layout has already; None for any other."""
    if body is None or not is_converted(body):
        return None
    try:
        return read_config(body).dit
    except WeightsError as error:
        raise CheckpointError(str(error)) from None


def inherited(body: Path | None) -> tuple[Tensors, tuple[str, ...]]:
    """The audio front of a folder of this layout, and what it had to leave out."""
    if body is None or not is_converted(body):
        return {}, ()
    manifest = read_manifest(body / MANIFEST)
    front = open_part(body, AUDIO_FRONT) if AUDIO_FRONT in manifest.parts else {}
    return front, manifest.left_out


def placed(
    tensors: Tensors, form: Form, config: DiTConfig, partial: bool, source: Path
) -> tuple[Tensors, Tensors, tuple[str, ...]]:
    """(the transformer's, the audio front's, what was left out and why)."""
    refused = chosen(tensors, form.refused)
    if refused and not partial:
        raise CheckpointError(
            "\n  ".join(
                [
                    f"{source} cannot be mapped whole ({form.name}); with --partial it is "
                    "converted without these, as a start for training:",
                    *reasons(refused),
                ]
            )
        )
    idle = chosen(tensors, form.idle)
    gone = {name for names in (*refused.values(), *idle.values()) for name in names}
    named = {form.rename(k, config): v for k, v in tensors.items() if k not in gone}
    front = {k.removeprefix(FRONT): v for k, v in named.items() if k.startswith(FRONT)}
    rest = {k: v for k, v in named.items() if not k.startswith(FRONT)}
    return rest, front, tuple(reasons(refused) + reasons(idle))


def reasons(found: Mapping[str, list[str]]) -> list[str]:
    """One line a reason, with the groups that it holds for."""
    return [
        ", ".join(row(key, same) for key, same in grouped(names).items()) + f": {reason}"
        for reason, names in found.items()
    ]


def with_lora(
    tensors: Tensors, pairs: Tensors, path: Path, alpha: float | None, scale: float
) -> Tensors:
    """All of a file's pairs merged in."""
    layers = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    return merge(tensors, read_pairs(pairs, layers, alpha, path), scale, path)


def check(part: Part, expected: Mapping[str, Shape]) -> None:
    """CheckpointError lists every group of tensors that does not fit."""
    difference = compare(expected, {name: entry.shape for name, entry in part.tensors.items()})
    if difference:
        raise CheckpointError(difference.told(str(part.path)))


def origins_of(source: Path, dit: Transformer, options: Options) -> tuple[Origin, ...]:
    """Where the source and its base came from, as told, as their folders say, or as they look."""
    name = options.origin or LIKELY.get((dit.form.name, dit.family.name, dit.complete), "")
    found: dict[str, Origin] = {}
    if told := told_of(source):
        found |= {origin.name: origin for origin in told[1].origins}
    elif name:
        found[name] = known(name).origin
    else:
        found[source.name] = Origin(source.name)
    if options.base is not None:
        told = told_of(options.base)
        base = told[1].origins if told else (Origin(options.base.name),)
        found |= {origin.name: origin for origin in base}
    found |= {path.name: Origin(path.name) for path, _ in options.loras}
    return tuple(found.values())


def soul_config(name: str, dit: Transformer, origins: tuple[Origin, ...]) -> SoulConfig:
    """The 5B's settings with this transformer's sizes, and the way its origin is sampled."""
    sizes, packed = dit.family.vae, dit.config.audio_form == "packed"
    fps, audio = dit.family.fps, SOUL_5B.audio
    if packed:
        fps, audio = dit.family.heard_fps, WAV2VEC2[dit.family.heard_fps]
    elif hears(dit):
        fps = SOUL_5B.fps
    config = replace(
        SOUL_5B,
        name=name,
        dit=dit.config,
        audio=replace(audio, out_dim=dit.config.audio_dim),
        text=replace(SOUL_5B.text, dim=dit.config.text_dim),
        vae=replace(SOUL_5B.vae, channels=sizes.channels, spatial=sizes.spatial),
        fps=fps,
        tells_given=dit.family.tells_given,
    )
    if (steps := few_steps(origins)) is None:
        sound = WAN_GUIDANCE if packed else SOUL_5B.audio_guidance
        config = replace(config, steps=WAN_STEPS, solver=WAN_SOLVER)
        config = replace(config, guidance=WAN_GUIDANCE, audio_guidance=sound)
    else:
        config = replace(config, steps=steps, chunk=STUDENTS_CHUNK)
    # Conditions are laid beside clips; whatever else is a stream, to be trained as one.
    return in_clips(config) if dit.config.condition_channels else config


def few_steps(origins: tuple[Origin, ...]) -> int | None:
    """The steps that one of `origins` was distilled to; None if none was."""
    names = {origin.name for origin in origins}
    return next((k.steps for k in CATALOGUE if k.name in names and k.steps is not None), None)


def hears(dit: Transformer) -> bool:
    return any(is_audio(tensor) for tensor in dit.tensors)


def manifest_of(
    name: str,
    dit: Transformer,
    origins: tuple[Origin, ...],
    parts: Mapping[str, tuple[File, ...]],
    config: File,
) -> Manifest:
    return Manifest(
        name=name,
        origins=origins,
        files=(config, *(file for files in parts.values() for file in files)),
        parts={part: tuple(file.path for file in files) for part, files in parts.items()},
        family=dit.family.name,
        audio=dit.config.audio_form if hears(dit) else DEAF,
        left_out=dit.left_out,
    )


def copied(folder: Path, out: Path) -> tuple[File, ...]:
    """Every file of a flat folder, copied and hashed; their paths start with `out`'s name."""
    out.mkdir()
    names = sorted(p.name for p in folder.iterdir() if p.is_file())
    for name in names:
        shutil.copyfile(folder / name, out / name)
    return tuple(described(out.parent, f"{out.name}/{name}") for name in names)

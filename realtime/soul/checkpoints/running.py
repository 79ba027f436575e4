"""A converted folder → a model that the one rollout drives, on a device, in bf16 or fp8.

Chooses the parts, names what is missing, and reads tensor by tensor, so that memory never holds a
part twice. First everything is laid out on the meta device: what it will take is known before it is
read. It knows no command line and asks nobody about licences.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from soul.checkpoints.audio_forms import AUDIO_FRONT
from soul.checkpoints.layout import open_part
from soul.checkpoints.licences import home
from soul.checkpoints.manifest import CLIP, MANIFEST, Manifest, read_manifest
from soul.checkpoints.modules import (
    EVAE,
    codebook_shape,
    evae_config,
    open_codebook,
    open_text,
    read,
    shapes_of,
    vae_config,
)
from soul.checkpoints.parts import DIT, TEXT, VAE
from soul.checkpoints.sources import CheckpointError, Tensors, open_tensors
from soul.model.codebook import Codebook
from soul.model.config import DEAF, SOUL_5B, ConfigError, SoulConfig, in_clips
from soul.model.dit import DiT
from soul.model.load import CONFIG, WeightsError, read_config
from soul.model.wan import wav2vec, whisper
from soul.model.wan.actor import Scribe, WanSoul
from soul.model.wan.codec import Codec, EvaeCodec, FullCodec, TaeCodec
from soul.model.wan.ears import Wav2VecEar, WhisperEar, hearing_of
from soul.model.wan.evae import Evae
from soul.model.wan.fp8 import narrow
from soul.model.wan.solvers import Method
from soul.model.wan.tae import Tae
from soul.model.wan.text import TextError
from soul.model.wan.tiles import TiledVae, Tiling
from soul.model.wan.vae import WanVae, column
from soul.model.wan.whisper import TOKENS_PER_FRAME, WhisperSizes
from soul.timebase import FRAME_RATE

TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp8": torch.bfloat16}  # to compute in
EIGHT_BITS = "fp8"
SUFFIXES = (".safetensors", ".pth")
EAR_SUFFIXES = (".safetensors", ".bin")
TAE = "taew2_2"  # a file as it is published
FULL = "full"
DECODERS = (FULL, EVAE, TAE)
EARS = {"whisper": "whisper-large-v3", "wav2vec2": "wav2vec2-base-960h"}  # as they are fetched


@dataclass(frozen=True, slots=True)
class Run:
    """How to run a folder; what is None is as the folder's own config has it."""

    size: tuple[int, int] | None = None  # height and width in pixels
    clips: bool | None = None  # clip by clip, as in the paper, or a stream; None: see `configured`
    dtype: str = "bf16"
    decoder: str = FULL
    tile: bool = False
    solver: str | None = None
    steps: int | None = None
    guidance: float | None = None
    audio_guidance: float | None = None
    fps: int | None = None
    negative: str = ""
    ear: Path | None = None  # the listener's folder; None: in the folder, or as it is fetched


@dataclass(frozen=True, slots=True)
class Plan:
    """A model without weights, and where they are."""

    folder: Path
    manifest: Manifest
    model: WanSoul  # on the meta device, without a scribe
    run: Run
    light: Tensors  # of a decoder that is not the VAE's
    ear: Path  # the listener's folder
    text_bytes: int


def configured(folder: Path, manifest: Manifest, run: Run) -> SoulConfig:
    """The folder's config with what `run` changes; CheckpointError for what cannot be run.

    Weights make clips or a stream as `run` says, else as they were trained by `soul tune`. Others
    that are guided were trained on clips, as Wan was; those of few steps are what their config
    says. Weights without layers that hear run without
    sound, whatever the config says that they may learn.
    """
    config = read_config(folder)
    for name, found, known in (
        ("dtype", run.dtype, tuple(TYPES)),
        ("decoder", run.decoder, DECODERS),
        ("solver", run.solver or config.solver, tuple(Method)),
    ):
        if found not in known:
            expected = ", ".join(map(str, known))
            raise CheckpointError(f"{name} {found!r} is not known; expected one of {expected}")
    check_runnable(config, manifest, folder)
    if manifest.audio == DEAF:
        config = replace(config, dit=replace(config.dit, audio_form=DEAF))
    if run.size is not None:
        config = replace(config, image_size=run.size)
    clips = in_clips_by(config, manifest) if run.clips is None else run.clips
    if clips != config.clips:
        config = in_clips(config) if clips else in_stream(config)
    told: dict[str, Any] = {
        "solver": run.solver,
        "steps": run.steps,
        "guidance": run.guidance,
        "audio_guidance": run.audio_guidance,
        "fps": run.fps,
    }
    return replace(config, **{name: value for name, value in told.items() if value is not None})


def in_clips_by(config: SoulConfig, manifest: Manifest) -> bool:
    """Whether a folder of which nobody says it makes clips."""
    if manifest.mode:
        return manifest.mode == CLIP
    return config.clips or config.guidance != 1


def in_stream(config: SoulConfig) -> SoulConfig:
    """`config` of clips as the 5B runs live."""
    live = SOUL_5B
    return replace(
        config, window=live.window, sink_distance=live.sink_distance, overlap=0, chunk=live.chunk
    )


def check_runnable(config: SoulConfig, manifest: Manifest, folder: Path) -> None:
    """CheckpointError for a checkpoint that this project can hold and cannot run."""
    if AUDIO_FRONT in manifest.parts:
        raise CheckpointError(
            f"{folder} makes its audio tokens by layers of its own (the part {AUDIO_FRONT}), "
            "which cannot be run yet"
        )
    conditions = config.dit.condition_channels
    if conditions not in (0, config.dit.latent_channels + 1):
        raise CheckpointError(
            f"{folder} takes {conditions} channels of conditions; expected none, or "
            f"{config.dit.latent_channels + 1}: a reference and a mask"
        )


def lay_out(folder: Path, run: Run) -> Plan:
    """Everything but the numbers; CheckpointError, WeightsError or ConfigError names what is wrong.

    Only headers of files are read.
    """
    manifest = read_manifest(folder / MANIFEST)
    config = configured(folder, manifest, run)
    light = light_of(folder, manifest, run.decoder, config.vae.channels)
    place, dtype = ear_of(folder, config.audio.ear, run.ear), TYPES[run.dtype]
    check_ear(config, folder, place)
    with torch.device("meta"):
        dit = DiT(config.dit).to(dtype)
        if run.dtype == EIGHT_BITS:
            narrow(dit.blocks)
        vae = WanVae(vae_config(shapes_of(open_part(folder, VAE)), str(folder))).to(dtype)
        codebook = Codebook(*codebook_shape(folder))
        codec = laid_codec(run, vae, light, dtype, str(folder))
        if light:
            vae.decoder = nn.Module()  # another paints: its weights are not read
        ear = laid_ear(config, place).to(dtype)
    tiled = TiledVae(vae, Tiling()) if run.tile else vae
    model = WanSoul(config, dit, tiled, codec, ear, Scribe(None), codebook, run.negative)
    text = sum(e.numel for e in open_part(folder, TEXT).values()) * dtype.itemsize
    return Plan(folder, manifest, model.eval(), run, light, place, text)


def laid_codec(run: Run, vae: WanVae, light: Tensors, dtype: torch.dtype, where: str) -> Codec:
    """The decoder that was asked for, on the meta device."""
    if run.decoder == EVAE:
        return EvaeCodec(Evae(evae_config(shapes_of(light), where)).to(dtype))
    if run.decoder == TAE:
        return TaeCodec(Tae().to(dtype))
    return FullCodec(TiledVae(vae, Tiling()) if run.tile else vae)


def laid_ear(config: SoulConfig, place: Path) -> WhisperEar | Wav2VecEar:
    """The listener, on the meta device."""
    if config.audio.ear == "wav2vec2":
        return Wav2VecEar(wav2vec.network(wav2vec.told_config(place)), config.audio, config.fps)
    hearing = hearing_of(config.audio, config.fps)
    net = whisper.network(replace(whisper.told_sizes(place), positions=hearing.positions))
    return WhisperEar(net, hearing, config.dit.audio_form == "packed")


def loaded_ear(
    config: SoulConfig, place: Path, device: str, dtype: torch.dtype
) -> WhisperEar | Wav2VecEar:
    """The listener with its weights."""
    if config.audio.ear == "wav2vec2":
        return Wav2VecEar(wav2vec.load(place, device, dtype), config.audio, config.fps)
    return loaded_whisper(config, place, device, dtype)


def loaded_whisper(config: SoulConfig, place: Path, device: str, dtype: torch.dtype) -> WhisperEar:
    hearing = hearing_of(config.audio, config.fps)
    net = whisper.shortened(whisper.load(place, device, dtype), hearing.positions)
    return WhisperEar(net, hearing, config.dit.audio_form == "packed")


def check_ear(config: SoulConfig, folder: Path, place: Path) -> None:
    """CheckpointError if the folder's layers want other features than those made at `place`."""
    if config.audio.ear == "wav2vec2":
        made = wav2vec.features_of(wav2vec.told_config(place))
    else:
        sizes = whisper.told_sizes(place)
        check_whisper(config, sizes, folder, place)
        made = sizes.width * (TOKENS_PER_FRAME if config.dit.audio_form == "packed" else 1)
    if config.dit.audio_dim != made:
        raise CheckpointError(
            f"{folder} hears features of {config.dit.audio_dim} numbers, and the "
            f"{config.audio.ear} at {place} makes {made}"
        )


def check_whisper(config: SoulConfig, sizes: WhisperSizes, folder: Path, place: Path) -> None:
    """CheckpointError if the Whisper at `place` does not see as the folder expects."""
    if sizes.mels != config.audio.mels:
        raise CheckpointError(
            f"the Whisper at {place} hears {sizes.mels} mel bands, and {folder} expects "
            f"{config.audio.mels}"
        )
    if (told := hearing_of(config.audio, config.fps).positions) > sizes.positions:
        raise CheckpointError(
            f"the Whisper at {place} has {sizes.positions} positions, and {folder} expects {told}"
        )


def light_of(folder: Path, manifest: Manifest, name: str, channels: int) -> Tensors:
    """The tensors of the light decoder `name`, or none of the full one; not read yet."""
    if name == FULL:
        return {}
    if channels != SOUL_5B.vae.channels:
        raise CheckpointError(
            f"{name} decodes latents of {SOUL_5B.vae.channels} channels, and those of {folder} "
            f"have {channels}; expected the decoder {FULL}"
        )
    if name == EVAE:
        if EVAE not in manifest.parts:
            raise CheckpointError(f"{folder} has no eVAE; it has {sorted(manifest.parts)}")
        return open_part(folder, EVAE)
    return open_tensors(tae_of(folder))


def tae_of(folder: Path) -> Path:
    """The file of the light decoder taew2_2; CheckpointError if it is nowhere."""
    places = [folder, home() / "checkpoints" / TAE]
    files = [place / f"{TAE}{suffix}" for place in places for suffix in SUFFIXES]
    for path in files:
        if path.is_file():
            return path
    raise CheckpointError(f"no {TAE} at {files[0]}; expected one from soul fetch {TAE}")


def lightest(folder: Path) -> str:
    """The light decoder that lies in the folder, the best first, or the full one."""
    if EVAE in read_manifest(folder / MANIFEST).parts:
        return EVAE
    return TAE if any((folder / f"{TAE}{suffix}").is_file() for suffix in SUFFIXES) else FULL


def ear_of(folder: Path, name: str, told: Path | None) -> Path:
    """Where the listener `name` is; CheckpointError if nowhere."""
    known = EARS[name]
    places = (told,) if told is not None else (folder / name, home() / "checkpoints" / known)
    for place in places:
        if (place / CONFIG).is_file():
            return place
    raise CheckpointError(
        f"no {name} at {' nor '.join(map(str, places))}; expected one from "
        f"soul fetch {known}, or --ear with its folder"
    )


def unlisted(plan: Plan) -> tuple[Path, ...]:
    """Files that the plan's model is made of and its manifest does not name.

    The listener's, and a taew2_2 if it paints.
    """
    heard = [p for p in sorted(plan.ear.iterdir()) if p.name == CONFIG or p.suffix in EAR_SUFFIXES]
    return (*heard, *((tae_of(plan.folder),) if plan.run.decoder == TAE else ()))


def write_down(folder: Path, run: Run, prompts: Iterable[str], keep: bool) -> Scribe:
    """umT5 on the CPU, and `prompts` encoded by it; then it is freed, unless it is to be kept.

    TextError or CheckpointError if tokenizer or weights are not whole.
    """
    encoder = open_text(folder, read_config(folder).text.length, "cpu", TYPES[run.dtype])
    scribe = Scribe(encoder, (*prompts, run.negative))
    if not keep:
        scribe.free()
    return scribe


def fill(plan: Plan, scribe: Scribe, device: str, told: Callable[[str], None]) -> WanSoul:
    """The plan's model with its weights, on `device`, ready to serve.

    `told` hears which part is read. CheckpointError lists tensors that do not fit.
    """
    folder, model, dtype = plan.folder, plan.model, TYPES[plan.run.dtype]

    def filled(module: nn.Module, tensors: Tensors, what: str) -> None:
        told(what)
        values = read(module, tensors, f"{folder}: {what}", device, dtype)
        module.load_state_dict(values, assign=True)

    filled(model.dit, open_part(folder, DIT), "transformer")
    vae = open_part(folder, VAE)
    if plan.light:
        vae = {name: entry for name, entry in vae.items() if not name.startswith("decoder.")}
        filled(model.codec.network, plan.light, plan.run.decoder)
    filled(model.inner_vae, vae, "VAE")
    told("codebook")
    model.codebook = open_codebook(folder, device)
    told(model.config.audio.ear)
    model.ear = loaded_ear(model.config, plan.ear, device, dtype)
    vae_of, sizes = model.inner_vae, model.inner_vae.config
    vae_of.mean = column(sizes.mean).to(device)  # in full, whatever the layers compute in
    vae_of.deviation = column(sizes.deviation).to(device)
    model.scribe = scribe
    return model.requires_grad_(False)


def for_calls(run: Run) -> Run:
    """As a call wants it: a stream, 25 pictures a second."""
    return replace(run, clips=False, fps=FRAME_RATE)


TROUBLE: tuple[type[Exception], ...] = (CheckpointError, WeightsError, ConfigError, TextError)
"""What laying out and filling raise: one sentence each."""

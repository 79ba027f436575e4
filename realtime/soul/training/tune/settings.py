"""All that a run over a large model depends on, and what of it cannot be. Reads no file."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from math import lcm
from operator import attrgetter
from typing import Any, TypeVar

import torch

from soul.model.config import SOUL_5B, SoulConfig
from soul.training.diffusion import TeacherConfig
from soul.training.matching import MatchConfig
from soul.training.progress import Length
from soul.training.student import StudentConfig

STAGES = ("encode", "teacher", "student", "match")
PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}

Settings = TypeVar("Settings")


class TuneError(Exception):
    """A run that cannot be; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """Two small matrices beside each of the blocks' (Hu et al. 2021, arXiv 2106.09685)."""

    rank: int = 0  # 0: no LoRA, everything is trained
    alpha: float = 0.0  # what the pair counts is alpha / rank; 0: as much as the rank
    targets: tuple[str, ...] = ("q", "k", "v", "o", "ffn.0", "ffn.2")  # ends of layers' names
    whole: tuple[str, ...] = ()  # parts of layers' names that are trained themselves, without pairs

    @property
    def scale(self) -> float:
        return (self.alpha or self.rank) / self.rank


@dataclass(frozen=True, slots=True)
class EncodeConfig:
    """What clips are encoded as."""

    latents: int = 25  # of each clip, the first frame's own included: 97 frames
    references: int = 4  # stills that a rollout may start from: the first frame, and others


@dataclass(frozen=True, slots=True)
class Tuning:
    """Stages' batches are those of all processes together."""

    height: int = 704
    width: int = 1280
    encode: EncodeConfig = EncodeConfig()
    teacher: TeacherConfig = TeacherConfig(
        length=Length(2000), batch=8, peak=2e-5, warm_start=0.0, save_every=100
    )  # the paper's rate
    student: StudentConfig = StudentConfig(
        length=Length(1200), batch=8, peak=2e-5, teacher_steps=4, save_every=120
    )
    match: MatchConfig = MatchConfig(
        length=Length(600), batch=8, peak=2e-6, follower_peak=1e-5, save_every=60
    )
    steps: int = SOUL_5B.steps  # that a distilled model serves with
    lora: LoraConfig = LoraConfig()
    precision: str = "bf16"  # of products; weights that are trained are kept in float32
    accumulate: int = 1  # losses an optimizer step
    clip: float = 1.0  # largest norm of the gradients
    ema: float = 0.0  # of the weights that are kept, what stays each step; 0: the last ones are
    recompute: bool = True  # blocks' activations, in the backward pass, rather than keep them
    seed: int = 0

    def staged(self, stage: str) -> TeacherConfig | StudentConfig | MatchConfig:
        """One of `TRAINED`."""
        if stage == "teacher":
            return self.teacher
        return self.student if stage == "student" else self.match


TRAINED = STAGES[1:]
# May change within a run: how far stages go, and how often they are kept.
FREE = ("length", "save_every")


def changed(settings: Settings, told: Iterable[str]) -> Settings:
    """`settings` with NAME=VALUE told for each of some dotted names; TuneError names what is not.

    A value is read as what stands there is.
    """
    for one in told:
        name, equals, value = one.partition("=")
        if not equals:
            raise TuneError(f"--set {one!r} has no value; expected NAME=VALUE")
        settings = _set(settings, name.split("."), value, name)
    return settings


def _set(settings: Any, path: list[str], value: str, name: str) -> Any:
    known = [field.name for field in fields(settings)]
    if path[0] not in known:
        raise TuneError(f"--set {name!r} is not known; expected one of {', '.join(known)}")
    old = attrgetter(path[0])(settings)
    if is_dataclass(old):
        if len(path) == 1:
            inner = ", ".join(f"{name}.{field.name}" for field in fields(old))
            raise TuneError(f"--set {name!r} holds several values; expected one of {inner}")
        return replace(settings, **{path[0]: _set(old, path[1:], value, name)})
    if len(path) > 1:
        raise TuneError(f"--set {name!r} is not known; {path[0]} is one value")
    return replace(settings, **{path[0]: read(value, old, name)})


def read(value: str, old: Any, name: str) -> Any:
    """`value` in the type of `old`; TuneError if it is none of it."""
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[value.lower()]
        if isinstance(old, tuple):
            kind = type(old[0]) if old else str
            return tuple(kind(part) for part in value.split(",") if part)
        if isinstance(old, int | float | str):
            return type(old)(value)
    except (ValueError, KeyError):
        pass
    found = "nothing that can be set" if old is None else type(old).__name__
    raise TuneError(f"--set {name}={value} cannot be; what stands there is {found}")


def problem(tuning: Tuning, stages: Iterable[str], processes: int) -> str | None:
    """One sentence about the first value that makes no sense; None if all of them do."""
    if tuning.precision not in PRECISIONS:
        return f"precision {tuning.precision!r} is not known; expected {' or '.join(PRECISIONS)}"
    if tuning.accumulate < 1:
        return f"accumulate is {tuning.accumulate}; expected at least 1"
    if not 0 <= tuning.ema < 1:
        return f"ema is {tuning.ema:g}; expected at least 0 and less than 1"
    if tuning.clip <= 0:
        return f"clip is {tuning.clip:g}; expected more than 0"
    if tuning.lora.rank < 0:
        return f"lora.rank is {tuning.lora.rank}; expected 0 for no LoRA, or more"
    if tuning.teacher.warm_start:
        return (
            f"teacher.warm_start is {tuning.teacher.warm_start:g}; expected 0: a large model's "
            "audio layers are copied when it is loaded"
        )
    chosen = [name for name in TRAINED if name in stages]
    troubles = (staged_problem(name, tuning.staged(name), tuning, processes) for name in chosen)
    return next((trouble for trouble in troubles if trouble is not None), None)


def staged_problem(
    name: str,
    config: TeacherConfig | StudentConfig | MatchConfig,
    tuning: Tuning,
    processes: int,
) -> str | None:
    """The same for one stage."""
    if config.batch < 1 or config.batch % processes:
        return (
            f"{name}.batch {config.batch} does not split among {processes} processes; "
            f"expected a multiple of {processes}"
        )
    whole = lcm(config.chunks, tuning.accumulate)
    if config.save_every % whole:
        return (
            f"{name}.save_every {config.save_every} would stop within a rollout or a sum of "
            f"gradients; expected a multiple of {whole}"
        )
    if config.length.steps < 1 or config.length.steps % tuning.accumulate:
        return (
            f"{name}.length.steps {config.length.steps} is no number of optimizer steps; "
            f"expected a multiple of {tuning.accumulate}"
        )
    if not isinstance(config, TeacherConfig) and tuning.steps not in config.counts:
        return (
            f"steps is {tuning.steps}; expected one of the numbers of steps that stage {name} "
            f"teaches, {name}.counts {', '.join(map(str, config.counts))}"
        )
    lead = config.overlap if isinstance(config, TeacherConfig) else 0
    if config.chunks + lead > tuning.encode.latents - 1:
        return (
            f"{name}.chunks {config.chunks} and {lead} latents before them do not fit into clips "
            f"of {tuning.encode.latents - 1} latents; expected fewer"
        )
    return None


def check_model(config: SoulConfig, where: str) -> None:
    """TuneError unless soul-mini's stages can train the model in the folder `where`."""
    if config.clips or config.chunk != 1:
        raise TuneError(
            f"{where} runs in chunks of {config.chunk} latents with a window of {config.window}; "
            "the stages train streams: expected chunk 1, and a window of 1 or more"
        )
    told = config.cue_width, config.dit.condition_channels
    heard = config.dit.audio_form, config.audio.ear
    if any(told) or heard != (SOUL_5B.dit.audio_form, SOUL_5B.audio.ear):
        raise TuneError(
            f"{where} has cue_width {told[0]}, {told[1]} channels of conditions and {heard[0]} "
            f"sound by {heard[1]}; expected none, none and attention by whisper, as soul-5b has"
        )


def sampled(config: SoulConfig, stage: str, tuning: Tuning) -> SoulConfig:
    """The model of a stage as it is sampled: a distilled one in few steps, without guidance.

    A teacher is sampled as its folder says. All are streams, as they were trained.
    """
    if stage == "teacher":
        return config
    live = SOUL_5B
    return replace(
        config,
        steps=tuning.steps,
        solver=live.solver,
        guidance=live.guidance,
        audio_guidance=live.audio_guidance,
    )

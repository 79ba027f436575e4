"""Stages over a large model, in order: teacher → student → match, each from where it was stopped.

One folder a run. A stage leaves `STAGE/model`, a folder of this project's layout that serves and
that the next one starts from, and its mark; with LoRA also `STAGE/adapter`. All processes of a
group call this; the first of them writes and tells.
"""

import gc
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist

from soul.checkpoints.manifest import MANIFEST, read_manifest
from soul.model.config import SoulConfig
from soul.model.load import read_config
from soul.model.wan.memory import free_on
from soul.timebase import FRAME_RATE
from soul.training.diffusion import train_teacher
from soul.training.matching import train_matched
from soul.training.notes import note
from soul.training.student import train_student
from soul.training.tune.backbone import Backbone, Opened, check_config
from soul.training.tune.clips import Material, open_encoded
from soul.training.tune.crew import Group, ShardedCrew
from soul.training.tune.export import gathered, write_adapter, write_model
from soul.training.tune.lora import is_pair
from soul.training.tune.memory import check_fits
from soul.training.tune.settings import (
    FREE,
    PRECISIONS,
    TuneError,
    Tuning,
    check_model,
    problem,
    sampled,
)
from soul.training.tune.states import Sharded

log = logging.getLogger("soul.training")

NOTE = "tuning.json"
MODEL, ADAPTER, ENCODED = "model", "adapter", "encoded"
FOLLOWER = "follower."  # of stage `match`: nobody wants it afterwards


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run lies, and what it starts from."""

    out: Path
    model: Path

    def left_by(self, stage: str) -> Path:
        """The model that a stage left; what the run starts from where it was not run."""
        done = self.done(stage).exists()
        return self.out / stage / MODEL if done else self.model

    def done(self, stage: str) -> Path:
        return self.out / f"{stage}.done"


@dataclass(frozen=True, slots=True)
class Begun:
    """What a run is noted by."""

    model: str
    tuning: Tuning


def sized(folder: Path, tuning: Tuning) -> SoulConfig:
    """The folder's model at the size and pace of the run's clips; TuneError if it cannot be."""
    config = read_config(folder)
    check_model(config, str(folder))
    check_config(config, tuning, folder)
    return replace(config, image_size=(tuning.height, tuning.width), fps=FRAME_RATE)


def check(place: Place, tuning: Tuning, stages: tuple[str, ...], processes: int) -> None:
    """TuneError names the first thing that would stop the run; nothing has been written yet."""
    if trouble := problem(tuning, stages, processes):
        raise TuneError(trouble)
    if not (place.model / MANIFEST).is_file():
        raise TuneError(
            f"{place.model} is no model of this project's layout; expected a folder that "
            "soul convert wrote"
        )
    sized(place.model, tuning)


def material(place: Place, tuning: Tuning) -> Material:
    """The run's encoded clips; TuneError if they are not there, or not this run's."""
    name = read_manifest(place.model / MANIFEST).name
    return open_encoded(place.out / ENCODED, name, sized(place.model, tuning))


def begin(place: Place, tuning: Tuning) -> None:
    """Write the settings beside the run; TuneError if it was begun with others."""
    place.out.mkdir(parents=True, exist_ok=True)
    try:
        note(place.out / NOTE, Begun(str(place.model), tuning), FREE)
    except ValueError as error:
        raise TuneError(str(error)) from None


def free_memory(group: Group) -> int:
    """Bytes that this process may use: of its own GPU, or its part of the machine's."""
    gc.collect()  # models of the stage before refer to themselves
    if group.device.type == "cuda":
        torch.cuda.empty_cache()
        return free_on(group.device)
    return free_on(group.device) // group.share.of


def run(place: Place, tuning: Tuning, stages: tuple[str, ...], group: Group) -> None:
    """Run those of `stages` that are not done. TuneError or CheckpointError: one sentence."""
    config = sized(place.model, tuning)
    clips = material(place, tuning)
    for stage in stages:
        if place.done(stage).exists():
            tell(group, f"{stage}  already done")
            continue
        need = check_fits(stage, config, tuning, group.share.of, free_memory(group))
        tell(group, f"{stage}  starts on {group.share.of} processes, needs {need.told()}")
        made = sampled(config, stage, tuning)
        learned = Stage(place, tuning, group, made, clips).train(stage)
        export(place, tuning, group, made, stage, *learned)
        dist.barrier()


def tell(group: Group, line: str) -> None:
    if group.first:
        log.info("%s", line)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's way from a folder to what it has learned, and from which folder that came."""

    place: Place
    tuning: Tuning
    group: Group
    config: SoulConfig
    material: Material

    def train(self, stage: str) -> tuple[Path, dict[str, torch.Tensor]]:
        train: Callable[[], tuple[Path, Sharded]] = {
            "teacher": self.teacher,
            "student": self.student,
            "match": self.match,
        }[stage]
        source, state = train()
        kept = {own(k): v for k, v in state.kept().items() if not k.startswith(FOLLOWER)}
        return source, gathered(kept, self.group.first)

    def opened(self, folder: Path, trained: bool) -> Backbone:
        words = self.material.words
        return Opened(folder, self.config, words, self.tuning, self.group).model(trained)

    def crew(self, source: Path) -> ShardedCrew:
        """Whose pupils begin as the model in `source`."""
        return ShardedCrew(self.group, self.tuning, lambda: self.opened(source, trained=True))

    def teacher(self) -> tuple[Path, Sharded]:
        source, how = self.place.model, self.tuning
        crew, model = self.crew(source), self.opened(source, trained=True)
        with crew.at_work():
            train_teacher(
                model, self.material.latents, how.teacher, self.place.out / "teacher", how.seed,
                crew=crew,
            )  # fmt: skip
        return source, crew.state

    def student(self) -> tuple[Path, Sharded]:
        source, how = self.place.left_by("teacher"), self.tuning
        crew, teacher = self.crew(source), self.opened(source, trained=False)
        with crew.at_work():
            train_student(
                teacher, self.material.latents, how.student, self.place.out / "student", how.seed,
                crew=crew,
            )  # fmt: skip
        return source, crew.state

    def match(self) -> tuple[Path, Sharded]:
        """Its follower starts as the teacher, its student where stage `student` left it."""
        source, how = self.place.left_by("teacher"), self.tuning
        begun = self.place.left_by("student")
        crew, teacher = self.crew(source), self.opened(source, trained=False)
        student = self.opened(begun, trained=True)
        with crew.at_work():
            train_matched(
                student, teacher, self.material.latents, how.match, self.place.out / "match",
                how.seed, crew=crew,
            )  # fmt: skip
        return begun, crew.state


def own(name: str) -> str:
    """The transformer's own name of a weight of a stage.

    A stage's module is a list of parts, the transformer first; `match` has one for each of two.
    """
    return name.removeprefix("student.").removeprefix("0.")


def export(
    place: Place,
    tuning: Tuning,
    group: Group,
    config: SoulConfig,
    stage: str,
    source: Path,
    learned: dict[str, torch.Tensor],
) -> None:
    """The first process writes what a stage leaves, and its mark."""
    if not group.first:
        return
    folder = place.out / stage
    named = replace(config, name=f"{config.name}-{stage}")
    shutil.rmtree(folder / MODEL, ignore_errors=True)  # of a run that was killed before its mark
    kind = PRECISIONS[tuning.precision]
    write_model(source, folder / MODEL, learned, named, tuning.lora, kind)
    if pairs := {name: value for name, value in learned.items() if is_pair(name)}:
        write_adapter(pairs, tuning.lora, folder / ADAPTER)
    place.done(stage).write_text("")
    log.info("%s  left in %s", stage, folder / MODEL)

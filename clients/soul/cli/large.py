"""Large models for the command line: where they are, their licences, their memory, their weights.

Imports nothing of diffusers before it is asked for a model: `soul serve` asks in the worker's
process alone. It does NOT know films or calls.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from soul.cli.console import fail, stderr
from soul.cli.extras import need_extra
from soul.cli.fetch import agreed
from soul.cli.plan import LargeConfig
from soul.model.config import DEAF
from soul.stream.process import Unable
from soul.stream.types import Performs

if TYPE_CHECKING:
    from soul.checkpoints.manifest import Manifest
    from soul.checkpoints.running import Plan, Run
    from soul.model.wan.actor import WanSoul

NAMED = "soul-5b"  # the folder of this name that is looked for where this project keeps its things
BASE = "wan2.2-ti2v-5b"
MARK = "manifest.json"  # of a converted folder; the checkpoints' room would bring torch to tell it


def is_large(name: str) -> bool:
    """Whether `name` is a converted folder, or soul-5b, there or not."""
    return name == NAMED or (Path(name) / MARK).is_file()


def folder_of(name: str) -> Path:
    """The converted folder that `name` is the path of, or the place of soul-5b."""
    from soul.checkpoints.licences import home

    return home() / "models" / NAMED if name == NAMED else Path(name)


def admitted(name: str, accept: bool, command: str) -> "Manifest":
    """The folder's manifest, once the extra is there and every licence in it is agreed to.

    Ends the command with one sentence if a licence is refused or nothing is there, and says then
    how to get it.
    """
    need_extra(command, "wan")
    from soul.checkpoints.licences import home
    from soul.checkpoints.sources import CheckpointError

    folder = folder_of(name)
    if not (folder / MARK).is_file():
        fail(
            f"{name} is not here: expected a converted folder at {folder}; first "
            f"soul fetch {BASE}, then soul convert {home() / 'checkpoints' / BASE} {folder}"
        )
    try:
        manifest = agreed(folder, accept)
    except CheckpointError as error:
        fail(str(error))
    if manifest.audio == DEAF:
        stderr().print(f"{name} has not learned to hear: sound will move nothing in its pictures")
    return manifest


def run_of(told: LargeConfig, decoder: str) -> "Run":
    """The same, as the checkpoints' room has it; `decoder` if none was told."""
    from soul.checkpoints.running import Run

    return Run(**{**asdict(told), "decoder": told.decoder or decoder})


def tell_memory(plan: "Plan", device: str) -> None:
    """Says what the model will take; WeightsError if `device` has less."""
    import torch

    from soul.model.load import check_device
    from soul.model.wan.memory import GIGA, check_room, free_on, needs

    check_device(device)
    found, config = needs(plan.model, plan.text_bytes), plan.model.config
    what = f"{config.name} at {config.height} x {config.width}"
    stderr().print(
        f"{what}: {found.total / GIGA:.1f} GB on {device} ({found.told()}), for the prompt "
        f"{found.text / GIGA:.1f} GB on the CPU",
        highlight=False,
    )
    check_room(found.text, free_on(torch.device("cpu")), f"the text encoder of {what}", "on cpu")
    check_room(found.total, free_on(torch.device(device)), what, f"{found.told()}; on {device}")


def loaded(plan: "Plan", device: str, prompts: Iterable[str], keep: bool) -> "WanSoul":
    """The model with its weights; the text encoder goes before the others come, unless kept."""
    from soul.checkpoints.running import fill, write_down

    def say(part: str) -> None:
        stderr().print(f"reading {part}", highlight=False)

    say("text encoder")
    scribe = write_down(plan.folder, plan.run, prompts, keep)
    return fill(plan, scribe, device, say)


@dataclass(frozen=True, slots=True)
class LoadLarge:
    """Loads a converted folder inside the worker's process; `Unable` says what is wrong."""

    folder: str
    device: str
    threads: int
    told: LargeConfig
    markers: bool = False

    def __call__(self) -> Performs:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # see soul.stream.worker.LoadSoul
        import torch

        from soul.checkpoints.running import TROUBLE, for_calls, lay_out, lightest
        from soul.stream.markers import MarkerPerformer
        from soul.stream.performer import Performer, warm_up

        torch.set_num_threads(self.threads)
        folder = Path(self.folder)
        try:
            plan = lay_out(folder, for_calls(run_of(self.told, lightest(folder))))
            tell_memory(plan, self.device)
            model = loaded(plan, self.device, [""], keep=True)
        except TROUBLE as error:
            raise Unable(str(error)) from error
        performer = Performer(model, time.perf_counter)
        warm_up(performer)
        return MarkerPerformer(performer) if self.markers else performer

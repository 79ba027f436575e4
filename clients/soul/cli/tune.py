"""`soul tune`: soul-mini's stages over a large model, by as many processes as it takes.

Says what cannot be before a process is started, then starts them; each of them is this very
command, told by torchrun's variables which one it is. So `torchrun` may start it as
well, on several machines too.
"""

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soul.cli.console import BAD_INPUT, fail, stdout
from soul.cli.extras import need_extra
from soul.cli.fetch import Accept, agreed
from soul.cli.train import need_device, tell_progress

if TYPE_CHECKING:
    from soul.training.tune.crew import Group
    from soul.training.tune.run import Place
    from soul.training.tune.settings import Tuning

COMMAND = "from soul.cli.main import main; main()"
LAUNCHED = "RANK"  # torchrun's variable: this process is one of a group


@dataclass(frozen=True, slots=True)
class Job:
    """What the command was told."""

    out: Path
    model: Path
    data: Path | None
    stages: tuple[str, ...]
    told: tuple[str, ...]  # NAME=VALUE
    whisper: Path | None
    processes: int
    device: str
    seed: int
    plan: bool
    accept: bool  # licences, without being asked


def tune(
    model: Annotated[
        Path, typer.Option(help="A folder that soul convert wrote: what it starts from.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder; it is resumed.")],
    data: Annotated[
        Path | None, typer.Option(help="Shards that soul data wrote; for stage encode.")
    ] = None,
    stages: Annotated[
        str, typer.Option(help="Some of encode, teacher, student, match; all if not given.")
    ] = "",
    processes: Annotated[
        int,
        typer.Option(help="How many share the model on this machine; a GPU each.", min=1),
    ] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="NAME=VALUE, such as teacher.batch=64 or lora.rank=32; a NAME that is none is "
            "answered with those that are. May be given several times.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    whisper: Annotated[
        Path | None, typer.Option(help="A folder with whisper-large-v3; for stage encode.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where it trains: cpu or cuda. cuda has not been verified.")
    ] = "cpu",
    seed: Annotated[int, typer.Option(help="Of batches and noise.", min=0)] = 0,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Say what memory each stage takes a process, and stop; no weight is read.",
        ),
    ] = False,
    accept_licence: Accept = False,
) -> None:
    """Fine-tune and distil a large model by as many processes as share its weights.

    encode turns shards into latents, sound and words; teacher learns by flow matching; student
    learns its steps without guidance; match moves what the student says to what the teacher would.
    Each leaves STAGE/model, a folder that serves. Stop it whenever you like: it goes on from the
    last state that was kept.

    Examples:

      soul tune --model models/soul-5b --data shards --device cuda --processes 8 \\
      --whisper ~/.cache/soul/checkpoints/whisper-large-v3 -o runs/five

      soul tune --model models/soul-5b -o runs/five --stages teacher --set lora.rank=32 --plan

      torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint first:29500 \\
      --no-python soul tune --model /shared/soul-5b -o /shared/run --device cuda …
    """
    need_extra("tune", "training")
    need_extra("tune", "wan")
    need_device(device)
    names = tuple(name.strip() for name in stages.split(",") if name.strip())
    told = tuple(settings or ())
    tell_progress()
    begin(
        Job(out, model, data, names, told, whisper, processes, device, seed, plan, accept_licence)
    )


def begin(job: Job) -> None:
    """Run the job; trouble ends the command with one sentence."""
    from soul.checkpoints.sources import CheckpointError
    from soul.model.config import ConfigError
    from soul.model.load import WeightsError
    from soul.training.tune.settings import TuneError

    try:
        start(job)
    except (TuneError, ConfigError) as error:
        fail(str(error), BAD_INPUT)
    except (CheckpointError, WeightsError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or job.out} cannot be used: {error.strerror or error}")


def start(job: Job) -> None:
    """Check everything, then work: alone, as one of a group, or by starting one."""
    from soul.training.tune import run
    from soul.training.tune.settings import STAGES, TuneError, Tuning, changed

    if unknown := [stage for stage in job.stages if stage not in STAGES]:
        raise TuneError(
            f"--stages {unknown[0]!r} is not known; expected some of {', '.join(STAGES)}"
        )
    stages = tuple(stage for stage in STAGES if stage in (job.stages or STAGES))
    place = run.Place(job.out, job.model)
    launched = LAUNCHED in os.environ
    processes = int(os.environ["WORLD_SIZE"]) if launched else job.processes
    tuning = changed(Tuning(seed=job.seed), job.told)
    run.check(place, tuning, stages, processes)
    if job.plan:
        tell_plan(place, tuning, stages, processes)
        return
    if "encode" not in stages:
        run.material(place, tuning)
    if not launched or os.environ[LAUNCHED] == "0":
        agreed(job.model, job.accept)
        run.begin(place, tuning)
    else:
        logging.getLogger("soul.training").setLevel(logging.WARNING)  # the first one tells
    if launched or processes == 1:
        work(job, place, tuning, stages)
    else:
        need_gpus(job.device, processes)
        launch(processes)
    if not launched:
        stdout().print(f"Done: {job.out}")


def tell_plan(place: "Place", tuning: "Tuning", stages: tuple[str, ...], processes: int) -> None:
    """What each stage would take; nothing is read but sizes."""
    from soul.training.tune.memory import need_of
    from soul.training.tune.run import sized
    from soul.training.tune.settings import TRAINED

    config = sized(place.model, tuning)
    for stage in (stage for stage in TRAINED if stage in stages):
        need = need_of(stage, config, tuning, processes)
        stdout().print(f"{stage}: {need.told()}, {processes} processes")


def need_gpus(device: str, processes: int) -> None:
    """Ends the command if this machine has fewer GPUs than processes are to start."""
    import torch

    if device == "cuda" and processes > (found := torch.cuda.device_count()):
        fail(f"--processes {processes}: this machine has {found} GPUs, expected as many", BAD_INPUT)


def work(job: Job, place: "Place", tuning: "Tuning", stages: tuple[str, ...]) -> None:
    """This process's part of the run."""
    from soul.training.tune.crew import joined
    from soul.training.tune.run import run

    with joined(job.device) as group:
        if "encode" in stages:
            encode(job, place, tuning, group)
        run(place, tuning, tuple(stage for stage in stages if stage != "encode"), group)


def encode(job: Job, place: "Place", tuning: "Tuning", group: "Group") -> None:
    """Stage `encode`, if it is not done."""
    import torch.distributed as dist

    from soul.checkpoints.manifest import MANIFEST, read_manifest
    from soul.training.tune.clips import NOTE
    from soul.training.tune.encode import Encoding
    from soul.training.tune.encoders import open_encoders
    from soul.training.tune.run import ENCODED, sized
    from soul.training.tune.settings import TuneError

    folder = place.out / ENCODED
    if (folder / NOTE).exists():
        return
    if job.whisper is None or job.data is None:
        raise TuneError(
            "stage encode needs --data and --whisper; expected shards that soul data wrote, and a "
            "folder with whisper-large-v3"
        )
    config = sized(place.model, tuning)
    encoders = open_encoders(place.model, job.whisper, config, group.device)
    encoding = Encoding(folder, config, tuning.encode, encoders, group, dist.barrier, tuning.seed)
    encoding.run(job.data, read_manifest(place.model / MANIFEST).name)


def launch(processes: int) -> None:
    """This very command in so many processes; if one of them fails, all end, and so does this."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # they told already
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-c", COMMAND, *sys.argv[1:])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        fail(f"process {rank} of {processes} ended with code {failure.exitcode}; the run can go on")

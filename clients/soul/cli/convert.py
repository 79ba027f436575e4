"""`soul convert`: a checkpoint in any layout → a folder that this project loads."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from soul.cli.console import BAD_INPUT, fail, stderr, stdout
from soul.cli.extras import need_extra
from soul.cli.fetch import Accept, agree

if TYPE_CHECKING:
    from soul.checkpoints.convert import Options
    from soul.checkpoints.manifest import Manifest, Origin


def convert(
    source: Annotated[
        Path, typer.Argument(help="A folder or file: official, diffusers, student, adapter.")
    ],
    out: Annotated[Path, typer.Argument(help="The new folder; it must not be there yet.")],
    base: Annotated[
        Path | None,
        typer.Option(help="A folder with the parts that SOURCE lacks, or that it changes."),
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(help="A LoRA file to merge in, or FILE=0.8 for a share.")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="Of the large matrices on disk: bf16, fp16 or fp32.")
    ] = "bf16",
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out what cannot be expressed here.")
    ] = False,
    origin: Annotated[
        str, typer.Option(help="What SOURCE is, by its name in `soul models`, if it does not tell.")
    ] = "",
    accept_licence: Accept = False,
) -> None:
    """Convert a checkpoint of the Wan family into this project's layout.

    Reads the official repositories, the diffusers layout, few-step students, LoRA files and public
    audio-driven checkpoints; writes one folder with config.json, safetensors and a manifest with
    hashes and licences, or nothing. Tensors pass one at a time.

    Examples:

      soul convert checkpoints/wan2.2-ti2v-5b models/soul-5b

      soul convert checkpoints/longlive-2.0-5b models/longlive --base checkpoints/wan2.2-ti2v-5b

      soul convert checkpoints/wan2.2-ti2v-5b models/styled --lora style.safetensors=0.8
    """
    need_extra("convert", "wan")
    from soul.checkpoints.convert import TYPES, Options

    if dtype not in TYPES:
        fail(f"--dtype {dtype!r} is not known; expected {' or '.join(TYPES)}", BAD_INPUT)
    options = Options(
        base=base,
        loras=tuple(file_and_share(told) for told in lora or ()),
        kind=TYPES[dtype],
        partial=partial,
        origin=origin,
    )
    manifest = run(source, out, options, accept_licence)
    total = sum(file.bytes for file in manifest.files) / 1e9
    stdout().print(f"Done: {out}, {manifest.family}, sound: {manifest.audio}, {total:.2f} GB")
    for line in manifest.left_out:
        stderr().print(f"left out: {line}", markup=False)


def file_and_share(told: str) -> tuple[Path, float]:
    """FILE or FILE=SHARE; ends the command if the share is no number."""
    path, equals, share = told.rpartition("=")
    if not equals:
        return Path(told), 1.0
    try:
        number = float(share)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        fail(f"--lora {told!r}: {share!r} is not a number; expected FILE or FILE=0.8", BAD_INPUT)
    return Path(path), number


def run(source: Path, out: Path, options: "Options", accept: bool) -> "Manifest":
    """Convert with a bar on stderr; trouble ends the command with one message."""
    from soul.checkpoints.convert import convert as write
    from soul.checkpoints.sources import CheckpointError

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=stderr(),
        transient=True,
    )
    bars: dict[str, TaskID] = {}

    def told(part: str, done: int, total: int) -> None:
        if part not in bars:
            bars[part] = progress.add_task(part, total=total)
        progress.update(bars[part], completed=done)

    def asked(origin: "Origin") -> None:
        agree(origin, accept)
        progress.start()  # not before: a bar and a question do not share a line

    try:
        with closing(progress):
            return write(source, out, options, told, asked)
    except CheckpointError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or source} cannot be read: {error.strerror or error}")


@contextmanager
def closing(progress: Progress) -> Iterator[None]:
    """The bar is gone before anything else is said, if it was ever shown."""
    try:
        yield
    finally:
        if progress.live.is_started:
            progress.stop()

"""`soul data`: a folder of videos becomes training shards. Knows the engine, and no filter."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from soul.cli.console import BAD_INPUT, fail, stderr, stdout
from soul.cli.extras import need_extra
from soul.data.config import (
    CaptionConfig,
    ClipConfig,
    DataConfig,
    FaceConfig,
    ScoreConfig,
    ShardConfig,
    problem,
)

if TYPE_CHECKING:
    from soul.data import engine

DEFAULTS = DataConfig()
URL, MODEL = "SOUL_CAPTION_URL", "SOUL_CAPTION_MODEL"


def data(
    folder: Annotated[Path, typer.Argument(help="A folder of videos; those below it count too.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder; it is resumed.")],
    processes: Annotated[
        int | None, typer.Option(help="How many at once; one a core if not given.", min=1)
    ] = None,
    above: Annotated[
        int, typer.Option(help="Pixels that the shorter side must exceed.", min=0)
    ] = DEFAULTS.clip.above,
    shortest: Annotated[
        float, typer.Option(help="Seconds of a clip, at least.", min=0.2)
    ] = DEFAULTS.clip.shortest,
    longest: Annotated[
        float, typer.Option(help="Seconds of a clip, at most.", min=0.2)
    ] = DEFAULTS.clip.longest,
    faces: Annotated[
        str,
        typer.Option(
            help="YuNet's weights, an .onnx file, or module:function; OpenCV's cascade if not "
            "given, which sees faces from the front only."
        ),
    ] = "",
    score: Annotated[
        str, typer.Option(help="module:function that scores a clip's looks; none if not given.")
    ] = "",
    least: Annotated[
        float | None, typer.Option(help="The score below which a clip is dropped.")
    ] = DEFAULTS.score.least,
    caption_url: Annotated[
        str,
        typer.Option(
            envvar=URL,
            help="An OpenAI-compatible endpoint, such as http://localhost:8000/v1; no captions if "
            "not given. Its key is taken from SOUL_CAPTION_KEY.",
        ),
    ] = "",
    caption_model: Annotated[
        str, typer.Option(envvar=MODEL, help="The vision model's name there.")
    ] = "",
    silent: Annotated[
        float, typer.Option(help="Share of the clips that may be without sound.", min=0, max=0.99)
    ] = DEFAULTS.shard.silent,
    clips: Annotated[int, typer.Option(help="Clips a shard.", min=1)] = DEFAULTS.shard.clips,
) -> None:
    """Make training shards of a folder of videos, and a table that gives each decision's reason.

    A clip is kept if its video is large enough, it lies within one shot, shows one face that is
    large enough, no writing and no black borders, and a mouth that goes with the voice. Shards are
    WebDataset's: tar files with KEY.mp4, KEY.wav and KEY.json. Stop it whenever you like: the same
    words go on where it was.

    Examples:

      soul data films/ --out shards/

      soul data films/ --out shards/ --faces face_detection_yunet_2023mar.onnx

      soul data films/ --out shards/ --caption-url http://localhost:8000/v1 --caption-model my-vlm
    """
    need_extra("data", "data")
    config = DataConfig(
        clip=ClipConfig(above=above, shortest=shortest, longest=longest),
        face=FaceConfig(detector=faces),
        score=ScoreConfig(plugin=score, least=least),
        caption=CaptionConfig(url=caption_url, model=caption_model),
        shard=ShardConfig(clips=clips, silent=silent),
    )
    summary = make_shards(folder, out, config, processes or os.cpu_count() or 1)
    show(summary, out)


def make_shards(folder: Path, out: Path, config: DataConfig, processes: int) -> "engine.Summary":
    """The whole run, with a bar; trouble ends the command with one sentence."""
    from soul.data.engine import STAGED, run
    from soul.data.errors import StopError
    from soul.data.judge import Answer, MakeJudge, Task
    from soul.data.pool import Pool

    if sentence := problem(config):
        fail(sentence, BAD_INPUT)
    made: Pool[Task, Answer] = Pool(MakeJudge(folder, out / STAGED, config), processes)
    try:
        with bar() as tell, made as pool:
            return run(folder, out, config, pool, tell)
    except StopError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(f"stopped; what is done is kept: the same command goes on with {str(out)!r}")


@contextmanager
def bar() -> "Iterator[Callable[[engine.Progress], None]]":
    """A bar on stderr with the time left at this run's pace, whatever an earlier one has done."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[kept]} kept, {task.fields[dropped]} dropped"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr()) as shown:
        task = shown.add_task("", total=1.0, start=False, kept=0, dropped=0)

        def tell(progress: "engine.Progress") -> None:
            shown.update(
                task, completed=progress.fraction, kept=progress.kept, dropped=progress.dropped
            )
            shown.start_task(task)

        yield tell


def show(summary: "engine.Summary", out: Path) -> None:
    """What became of everything: rows by reason, and where the table is."""
    table = Table("decision", "rows", title=f"{summary.videos} videos")
    for reason, count in sorted(summary.reasons.items(), key=lambda item: -item[1]):
        table.add_row(str(reason), str(count))
    console = stdout()
    console.print(table)
    console.print(
        f"{summary.kept_seconds:.1f} s kept in {summary.shards} shards, {summary.silent} clips of "
        f"them without sound; {summary.left_alone} other files were left alone.\n"
        f"Every decision and its reason: {out / 'table.parquet'}"
    )

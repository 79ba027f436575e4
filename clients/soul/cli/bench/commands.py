"""`soul bench`: the commands. Each measures, and prints one JSON object with its machine.

Figures go to stdout, everything else to stderr. The rooms that measure are imported only when
asked for: torch and a browser take a moment.
"""

import asyncio
import json
import math
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from soul.cli import options as told
from soul.cli.bench.browser import browser_version
from soul.cli.bench.live import LiveConfig, bench_live
from soul.cli.bench.machine import describe
from soul.cli.bench.server import BenchError
from soul.cli.bench.sessions import bench_sessions
from soul.cli.console import BAD_INPUT, fail, stderr
from soul.cli.extras import need_extra
from soul.cli.plan import LargeConfig, PlanError, size_of
from soul.cli.train import need_voices, tell_progress

DEFAULTS = LiveConfig()
LARGE = LargeConfig()
CHUNKS = 100
SESSIONS = 50
SESSION_SECONDS = 0.5
MINUTES = 10
DRIFT_SEED = 130_001
FEATURE_MS = 20  # of Whisper's encoder
PASTS = (0, 320, 1000, 3000, 10_000)  # ms

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    help=(
        "Measure this machine.\n\nEach command prints one JSON object, with the machine that it "
        "was measured on. Close other programs first: `machine.load` tells how busy it was."
    ),
)

Model = Annotated[str, typer.Option(help="A shipped model's name, or a folder with weights.")]
Device = Annotated[str, typer.Option(help="Where the model runs: cpu, cuda.")]
Threads = Annotated[int, typer.Option(help="Cores that the model may use.", min=1)]


@app.command("model")
def model(
    model: Model = DEFAULTS.model,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
    chunks: Annotated[int, typer.Option(help="Chunks of 160 ms to compute.", min=2)] = CHUNKS,
    size: told.Size = None,
    steps: told.Steps = None,
    dtype: told.Dtype = LARGE.dtype,
    decoder: told.Decoder = None,
    tile: told.Tile = False,
    ear: told.Ear = None,
) -> None:
    """How long each stage of a chunk takes, and what share of the time that it lasts.

    Examples:

      soul bench model --chunks 200

      soul bench model --model soul-5b --device cuda --size 704x1280 --steps 4
    """
    from soul.cli.bench.model import bench_model

    machine = asdict(describe())  # first: the load is that of before
    try:
        large = LargeConfig(
            size_of(size), dtype=dtype, decoder=decoder, tile=tile, steps=steps, ear=ear
        )
        _print(
            lambda: {"machine": machine, **bench_model(model, device, threads, chunks, large)},
            "model",
        )
    except PlanError as error:
        fail(str(error), BAD_INPUT)


@app.command("live")
def live(
    model: Model = DEFAULTS.model,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
    seconds: Annotated[
        float, typer.Option(help="How long the call with speech lasts.", min=5)
    ] = DEFAULTS.seconds,
    beep_seconds: Annotated[
        float, typer.Option(help="How long the call with beeps lasts.", min=10)
    ] = DEFAULTS.beep_seconds,
) -> None:
    """A call in Chromium on this machine: frames/s, freezes, delays, lips against sound.

    Needs Chromium, Playwright and espeak-ng.

    Example:

      soul bench live --seconds 60
    """
    config = LiveConfig(model, device, threads, seconds, beep_seconds)
    _print(lambda: asyncio.run(_with_browser(bench_live(config))), "live")


@app.command("sessions")
def sessions(
    model: Model = DEFAULTS.model,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
    count: Annotated[int, typer.Option(help="Calls, one after the other.")] = SESSIONS,
    seconds: Annotated[
        float, typer.Option(help="How long each lasts after its first picture.", min=0)
    ] = SESSION_SECONDS,
) -> None:
    """Many short calls, and whether memory, tasks, threads and descriptors stay flat.

    Example:

      soul bench sessions --count 50
    """
    config = LiveConfig(model, device, threads, seconds)
    _print(lambda: asyncio.run(_with_browser(bench_sessions(config, count))), "sessions")


@app.command("drift")
def drift(
    model: Model = DEFAULTS.model,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
    hours: Annotated[
        float | None, typer.Option(help="Hours of picture to make; or say --minutes.")
    ] = None,
    minutes: Annotated[
        int | None,
        typer.Option(help="Minutes of picture to make, at least 2.", show_default=str(MINUTES)),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Which person is drawn, and what is said.", min=0)
    ] = DRIFT_SEED,
    portrait: Annotated[
        Path | None,
        typer.Option(
            help="A portrait to animate; its skin, hair, clothes are not told apart.",
            show_default="a drawn person",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A folder for report, curves and pictures; it goes on."),
    ] = None,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Compare codebooks, in a table of eight streams.")
    ] = False,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Of a damaged student's context, standard deviation.", show_default="0.5"
        ),
    ] = None,
    weights_off: Annotated[
        float | None,
        typer.Option(help="Share that each of its weights is off by.", show_default="0.01"),
    ] = None,
) -> None:
    """Whether a person looks and speaks the same after hours, faster than real time.

    One stream of the live rollout; each minute hears a fresh held-out take whose mouth is known,
    and is held against the first: who it is (a trained embedding), the colours of skin, hair,
    clothes and background, sharpness, lips, what the codebook pulled back; then each figure's slope
    an hour with its standard error. With --out every minute is on disk at once, and the same
    command goes on where it was stopped. With --ablation: no codebook, hard replacement, the
    paper's pullback and that with the portrait's own latents, each for the student as it is and for
    one that is made to drift. Needs the training extra, espeak-ng and flite.

    Examples:

      soul bench drift --minutes 10

      soul bench drift --hours 8 --out drift

      soul bench drift --ablation --minutes 20 --out ablation
    """
    length = whole_minutes(hours, minutes)
    check_damage(ablation, noise, weights_off)
    need_extra("bench drift", "training")
    need_voices("bench drift")
    from soul.cli.bench.ablation import bench_ablation
    from soul.cli.bench.drift import DriftOptions, bench_drift
    from soul.training.variants import Damage

    machine = describe()  # first: the load is that of before
    options = DriftOptions(machine, model, device, threads, length, seed, portrait, out)
    usual = Damage()
    damage = Damage(
        usual.noise if noise is None else noise,
        usual.weights if weights_off is None else weights_off,
    )
    _print(lambda: bench_ablation(options, damage) if ablation else bench_drift(options), "drift")


@app.command("recipe")
def recipe(
    against: Annotated[
        Path, typer.Option(help="baseline.safetensors of the run of soul train that made it.")
    ],
    model: Model = DEFAULTS.model,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
    takes: Annotated[int, typer.Option(help="Held-out takes, each of another person.", min=1)] = 4,
    chunks: Annotated[int, typer.Option(help="Chunks of 160 ms in each.", min=12)] = 40,
    steps: Annotated[int, typer.Option(help="Guided steps of the baseline.", min=1)] = 25,
) -> None:
    """What distillation and the light decoder save, and what they cost: the paper's table.

    The teacher with many guided steps and the full decoder; the student with that decoder; the
    student with the light one, in other numbers of steps too. Time of a chunk, lips, closed
    mouths, identity, PSNR, SSIM and sharpness on the same held-out takes. Needs the training
    extra, espeak-ng and flite.

    Example:

      soul bench recipe --model runs/mini/model --against runs/mini/baseline.safetensors
    """
    need_extra("bench recipe", "training")
    need_voices("bench recipe")
    from soul.cli.bench.table import bench_recipe
    from soul.training.table import TableConfig

    machine = asdict(describe())
    config = TableConfig(takes=takes, chunks=chunks, steps=steps)
    _print(
        lambda: {"machine": machine, **bench_recipe(model, against, device, threads, config)},
        "recipe",
    )


Run = Annotated[Path, typer.Option("--run", help="The folder of a run of soul train.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="A folder for figures and pictures.")]


@app.command("warmstart")
def warmstart(
    run: Run,
    out: Out,
    steps: Annotated[int, typer.Option(help="Optimizer steps of each teacher.", min=2)] = 1000,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
) -> None:
    """Learning curves of the teacher with and without the warm start of its audio layers.

    Trains two teachers on the run's latents, step by step in turn: the same first weights, clips
    and noise. One learns some steps without sound, then copies its text layers to its audio layers,
    as the recipe says; the other hears sound at once, through audio layers that start at random.
    Writes curves.png and curves.json: loss in training, and on clips of the bank's end that neither
    learns from. The run is only read; its stages bank, listener, autoencoder and encode must be
    done. Needs the training extra.

    Example:

      soul bench warmstart --run runs/mini --steps 1000 --out warmstart
    """
    need_extra("bench warmstart", "training")
    from soul.cli.bench.warmstart import WarmStartOptions, bench_warmstart

    tell_progress()
    options = WarmStartOptions(describe(), run, out, steps, device, threads)
    _print(lambda: bench_warmstart(options), "warmstart")


@app.command("decoders")
def decoders(
    run: Run,
    out: Out,
    minutes: Annotated[
        float, typer.Option(help="How long both are trained, in turn.", min=0.01)
    ] = 60.0,
    takes: Annotated[int, typer.Option(help="Held-out takes, each of another person.", min=1)] = 4,
    chunks: Annotated[int, typer.Option(help="Chunks of 160 ms in each.", min=3)] = 40,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
) -> None:
    """The light decoder that the portrait guides, against one that paints alone.

    Trains both on the run's bank for the same steps: the same crops, noise and, where they have the
    same parts, first weights. Then they paint the same held-out people from latents of the world's
    own renders: PSNR, SSIM, sharpness, identity, lips, and the multiply-accumulates of both and of
    the full decoder. Writes decoders.json, decoders.png (truth, guided, unguided) and curves.png.
    The run is only read; its stages bank, autoencoder and full must be done. Needs the training
    extra, espeak-ng and flite.

    Example:

      soul bench decoders --run runs/mini --minutes 60 --out decoders
    """
    need_extra("bench decoders", "training")
    need_voices("bench decoders")
    from soul.cli.bench.decoders import DecoderOptions, bench_decoders
    from soul.training.table import TableConfig

    tell_progress()
    table = TableConfig(takes=takes, chunks=chunks)
    options = DecoderOptions(describe(), run, out, minutes, device, threads, table)
    _print(lambda: bench_decoders(options), "decoders")


@app.command("whisper")
def whisper(
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A folder as openai/whisper-large-v3; its encoder is used.",
            show_default="random weights",
        ),
    ] = None,
    sound: Annotated[
        Path | None,
        typer.Option(help="A recording; up to 30 s of it.", show_default="espeak-ng's voice"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="How much of the recording.", min=0.1, max=30)
    ] = 10.0,
    past: Annotated[
        list[int] | None,
        typer.Option(
            help="Context before a latent, milliseconds; may be given several times.",
            show_default="0, 320, 1000, 3000, 10000",
        ),
    ] = None,
    lookahead: Annotated[
        int, typer.Option(help="Context behind a latent, milliseconds.", min=0)
    ] = 40,
    fps: Annotated[int, typer.Option(help="Pictures a second, 25 or 24.", min=1)] = 25,
    layers: Annotated[
        int, typer.Option(help="Of random weights; large-v3 has 32.", min=0, max=32)
    ] = 32,
    seed: Annotated[int, typer.Option(help="Of random weights.", min=0)] = 0,
    device: Device = DEFAULTS.device,
    threads: Threads = DEFAULTS.threads,
) -> None:
    """What a live stream's short hearing costs Whisper's features, by length of context.

    Offline, the encoder sees 30 s at once; live, each latent is computed from its own window. Each
    length of past is measured twice: filled up with silence to 30 s, as Whisper was trained, and
    without, which is cheaper. Lengths are multiples of 20 ms. Random weights tell nothing of a real
    Whisper, and the report says so. Needs the wan extra.

    Examples:

      soul bench whisper --weights models/whisper-large-v3 --sound speech.wav

      soul bench whisper --layers 2 --seconds 3 --past 320 --past 1000
    """
    pasts = [features_of(ms, "--past") for ms in past or PASTS]
    ahead = features_of(lookahead, "--lookahead")
    need_extra("bench whisper", "wan")
    from soul.cli.bench.whisper import WhisperOptions, bench_whisper

    options = WhisperOptions(
        describe(), weights, layers, seed, sound, seconds, tuple(pasts), ahead, fps, device, threads
    )
    _print(lambda: bench_whisper(options), "whisper")


def features_of(milliseconds: int, option: str) -> int:
    """How many features of Whisper last so long; ends the command if that is no whole number."""
    if milliseconds < 0 or milliseconds % FEATURE_MS:
        fail(f"{option} {milliseconds} is not a multiple of {FEATURE_MS} ms", BAD_INPUT)
    return milliseconds // FEATURE_MS


def whole_minutes(hours: float | None, minutes: int | None) -> int:
    """How many minutes were asked for; ends the command if that is no length to compare."""
    if hours is not None and minutes is not None:
        fail(f"--hours {hours:g} and --minutes {minutes} are both given; expected one", BAD_INPUT)
    if hours is None:
        length = MINUTES if minutes is None else minutes
    else:
        length = round(60 * hours) if math.isfinite(hours) else 0
    if length < 2:
        told = f"--minutes {minutes}" if hours is None else f"--hours {hours:g}"
        fail(f"{told} is too short; expected at least two minutes to compare", BAD_INPUT)
    return length


def check_damage(ablation: bool, noise: float | None, weights_off: float | None) -> None:
    """Ends the command if what was told of the damage has no use, or is no size."""
    for option, value in (("--noise", noise), ("--weights-off", weights_off)):
        if value is not None and not ablation:
            fail(f"{option} {value:g} has no use here; expected --ablation with it", BAD_INPUT)
        if value is not None and not 0 <= value < math.inf:
            fail(f"{option} {value:g} is not a size; expected a number from 0", BAD_INPUT)


async def _with_browser(bench: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        machine = asdict(describe(await browser_version()))
    except BenchError:
        bench.close()
        raise
    return {"machine": machine, **await bench}


def _print(measure: Callable[[], dict[str, Any]], name: str) -> None:
    stderr().print(f"Measuring ({name}) …")
    try:
        figures = measure()
    except BenchError as error:
        fail(str(error))
    typer.echo(json.dumps({"bench": name, **figures}, indent=2, ensure_ascii=False))

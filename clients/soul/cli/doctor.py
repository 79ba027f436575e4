"""`soul doctor`: what this machine can run, and why not. Tries things; changes nothing."""

import importlib
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import psutil
import typer
from rich.table import Table
from rich.text import Text

from soul.cli.console import FAILED, stdout
from soul.cli.extras import NEEDED, missing
from soul.cli.plan import DEFAULTS

Verdict = Literal["yes", "no", "limited"]
STYLE: dict[Verdict, str] = {"yes": "green", "no": "red", "limited": "yellow"}
GIB = 1024**3
ENOUGH_MEMORY = 2 * GIB


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Serving is possible if no `needed` one says no."""

    subject: str
    verdict: Verdict
    detail: str
    needed: bool = False


def doctor(
    model: Annotated[str, typer.Option(help="The model whose weights are looked for.")] = (
        DEFAULTS.model
    ),
) -> None:
    """Say what this machine can run, and why not.

    Encoders are tried by encoding a picture, devices by a product of matrices, weights by loading
    them; programs are looked up. The exit code is 0 if serving is possible, 1 if not.

    Example:

      soul doctor
    """
    findings = list(examine(model))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "What", "Finding"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        mark = {"yes": "✓", "no": "✗", "limited": "~"}[finding.verdict]
        style = STYLE[finding.verdict]
        table.add_row(Text(mark, style), finding.subject, Text(finding.detail))
    stdout().print(table)
    missing = [f.subject for f in findings if f.needed and f.verdict == "no"]
    if missing:
        stdout().print(f"\n[bold red]This machine cannot serve:[/] {', '.join(missing)}.")
        raise typer.Exit(FAILED)
    stdout().print("\n[bold green]This machine can serve:[/] run [cyan]soul serve[/cyan].")


def examine(model: str) -> Iterator[Finding]:
    """Everything that was found, in the order in which a person reads it."""
    yield Finding("Python", "yes", f"{platform.python_version()} on {platform.platform()}")
    yield processor()
    yield memory()
    yield torch_itself()
    yield weights(model)
    yield webrtc()
    yield from codecs()
    yield cuda()
    yield tensorrt()
    yield training()
    yield extra("5B", "wan")
    yield extra("data engine", "data")
    yield chromium()


def processor() -> Finding:
    import torch

    usable = len(psutil.Process().cpu_affinity()) if platform.system() == "Linux" else None
    cores = usable or psutil.cpu_count() or 1
    features = torch.backends.cpu.get_cpu_capability()
    verdict: Verdict = "limited" if features == "DEFAULT" or cores < 2 else "yes"
    why = "" if verdict == "yes" else "; live speed wants two cores with AVX2 or NEON"
    return Finding("processor", verdict, f"{cores} cores, vector instructions {features}{why}")


def memory() -> Finding:
    free = psutil.virtual_memory().available
    detail = f"{free / GIB:.1f} GiB free"
    if free < ENOUGH_MEMORY:
        return Finding("memory", "limited", f"{detail}; {ENOUGH_MEMORY // GIB} GiB are advised")
    return Finding("memory", "yes", detail)


def torch_itself() -> Finding:
    import torch

    result = torch.ones(2, 2) @ torch.ones(2, 2)
    if result.sum().item() != 8:
        return Finding("torch", "no", f"{torch.__version__} multiplies wrongly", needed=True)
    return Finding("torch", "yes", f"{torch.__version__}, {torch.get_num_threads()} threads", True)


def weights(model: str) -> Finding:
    from soul.model.load import WeightsError, load

    try:
        loaded = load(model)
    except WeightsError as error:
        return Finding("weights", "no", str(error), needed=True)
    count = sum(parameter.numel() for parameter in loaded.parameters())
    size = f"{loaded.config.height} x {loaded.config.width}"
    return Finding("weights", "yes", f"{model}: {count / 1e6:.1f} M parameters, {size}", True)


def webrtc() -> Finding:
    try:
        version = importlib.import_module("aiortc").__version__
    except ImportError as error:
        return Finding("WebRTC", "no", f"aiortc cannot be imported: {error}", needed=True)
    return Finding("WebRTC", "yes", f"aiortc {version}", needed=True)


def codecs() -> Iterator[Finding]:
    """Encoders, found by encoding: those of a call, and those of a film."""
    from soul.cli.film import VIDEO_CODECS, can_encode, encodes_sound

    live = can_encode("libvpx", "webm") and encodes_sound("libopus", "webm")
    tried = "a picture and a sound were encoded" if live else "libvpx or libopus does not encode"
    yield Finding("VP8 and Opus", "yes" if live else "no", tried, needed=True)
    films = [codec for codec in VIDEO_CODECS if can_encode(codec)]
    if not films or not encodes_sound():
        yield Finding("films", "no", "no video encoder, or no AAC: soul animate will not work")
        return
    verdict: Verdict = "limited" if films == ["mpeg4"] else "yes"
    yield Finding("films", verdict, f"{films[0]} and AAC encode into mp4")


def cuda() -> Finding:
    import torch

    if torch.cuda.is_available():
        try:
            (torch.ones(2, 2, device="cuda") @ torch.ones(2, 2, device="cuda")).sum().item()
        except RuntimeError as error:
            return Finding("CUDA", "no", f"the device refuses a product: {error}")
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        return Finding("CUDA", "yes", ", ".join(sorted(names)))
    if torch.version.cuda is None:
        return Finding("CUDA", "no", "this torch was built without it; the processor is used")
    return Finding("CUDA", "no", "no NVIDIA GPU answers; the processor is used")


def tensorrt() -> Finding:
    return _module("TensorRT", "tensorrt", "not installed; nothing uses it yet")


def training() -> Finding:
    """What `soul train` needs besides torch: two voices, a painter, and what draws curves."""
    needed = NEEDED["training"]
    lacking = [name for name in ("espeak-ng", "flite") if shutil.which(name) is None]
    lacking += [
        name for module, name in needed.items() if _module(name, module, "").verdict == "no"
    ]
    if lacking:
        return Finding("training", "no", f"missing: {', '.join(lacking)}; serving needs none")
    return Finding("training", "yes", f"espeak-ng, flite, {', '.join(needed.values())} are here")


def extra(subject: str, name: str) -> Finding:
    """Whether the libraries of the extra `name` are installed; they take too long to import."""
    if lacking := missing(name):
        return Finding(subject, "no", f"missing: {', '.join(lacking)}; serving needs none")
    return Finding(subject, "yes", f"{', '.join(NEEDED[name].values())} are here")


def chromium() -> Finding:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None or not os.access(found, os.X_OK):
        return Finding("browser tests", "no", "no Chromium found; only the tests need it")
    return Finding("browser tests", "yes", found)


def _module(subject: str, name: str, otherwise: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except ImportError:
        return Finding(subject, "no", otherwise)
    return Finding(subject, "yes", str(vars(module).get("__version__", "installed")))

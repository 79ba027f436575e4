"""What machine a figure was measured on. A figure without it means nothing."""

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """`load` is how many processes wanted a core in the minute before: others disturb.

    None is what this machine has not.
    """

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    torch: str
    cuda: str | None  # that torch was built for
    gpu: str | None  # the one that `cuda` means
    diffusers: str | None
    transformers: str | None
    chromium: str | None
    commit: str | None
    load: float


def describe(chromium: str | None = None) -> Machine:
    """This machine, now."""
    load = round(os.getloadavg()[0], 2)  # first: looking for a GPU is work, too
    cuda, gpu = _gpu()
    return Machine(
        cpu=_cpu(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=platform.platform(),
        python=platform.python_version(),
        torch=_version("torch") or "missing",
        cuda=cuda,
        gpu=gpu,
        diffusers=_version("diffusers"),
        transformers=_version("transformers"),
        chromium=chromium,
        commit=_commit(),
        load=load,
    )


def _cpu() -> str:
    if CPUINFO.is_file():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    """The installed one's; None if there is none. Nothing is imported."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpu() -> tuple[str | None, str | None]:
    """The CUDA that torch was built for, and the name of its first device."""
    if _version("torch") is None:
        return None, None
    import torch

    return torch.version.cuda, torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _commit() -> str | None:
    """The commit that this file is of; None outside a git checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() or None

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
    """`load` is how many processes wanted a core in the minute before: others disturb."""

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    torch: str
    chromium: str | None
    commit: str | None
    load: float


def describe(chromium: str | None = None) -> Machine:
    """This machine, now."""
    return Machine(
        cpu=_cpu(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=platform.platform(),
        python=platform.python_version(),
        torch=_torch(),
        chromium=chromium,
        commit=_commit(),
        load=round(os.getloadavg()[0], 2),
    )


def _cpu() -> str:
    if CPUINFO.is_file():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "missing"


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

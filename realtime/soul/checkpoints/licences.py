"""Licences that forbid commercial use: which were agreed to on this machine.

They are shown before the first use, and remembered by name and text, so that a changed licence is
shown again. It asks nobody: the command line does.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from soul.checkpoints.manifest import Origin
from soul.checkpoints.sources import CheckpointError

HOME = "SOUL_HOME"  # the environment variable that names where this project keeps its things
AGREED = "licences.json"


def home() -> Path:
    """Where checkpoints and agreements are kept: SOUL_HOME, or ~/.cache/soul."""
    return Path(os.environ.get(HOME) or Path.home() / ".cache" / "soul")


def key_of(origin: Origin) -> str:
    return f"{origin.name}: {origin.licence}"


def agreements(folder: Path) -> list[str]:
    """What was agreed to; CheckpointError if the list cannot be read."""
    path = folder / AGREED
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise CheckpointError(f"{path} is not a list of agreements; remove it and agree again")
    return found


def open_questions(origins: Iterable[Origin], folder: Path) -> list[Origin]:
    """Those whose licence forbids commercial use and has not been agreed to yet."""
    agreed = agreements(folder)
    return [o for o in origins if not o.commercial and key_of(o) not in agreed]


def remember(origin: Origin, folder: Path) -> None:
    """Agreed to, from now on."""
    folder.mkdir(parents=True, exist_ok=True)
    told = [*agreements(folder), key_of(origin)]
    partial = folder / f".{AGREED}.partial"
    partial.write_text(json.dumps(told, indent=2) + "\n")
    partial.rename(folder / AGREED)

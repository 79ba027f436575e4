"""What a run of `soul train` left in its folder, read back: its recipe, and by it the run itself.

For those who go on from a run's data with questions of their own. It starts no stage and writes
nothing there.
"""

import json
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from soul.training.recipe import NOTE, Recipe, Run

T = TypeVar("T")


class RunError(Exception):
    """A folder that holds no run, or not enough of one; the sentence says which."""


def open_run(folder: Path, device: str) -> Run:
    """The run in `folder`, whose parts are to be on `device`. RunError if there is none."""
    return Run(folder, replace(read_recipe(folder / NOTE), device=device))


def read_recipe(note: Path) -> Recipe:
    """The recipe that a run was begun with; what its note does not name is as it is today."""
    try:
        return revived(Recipe, json.loads(note.read_text()))
    except OSError:
        raise RunError(
            f"no run at {str(note.parent)!r}: expected a folder of soul train with {NOTE}"
        ) from None
    except (ValueError, TypeError) as error:
        raise RunError(f"{note} is not the recipe of a run: {error}") from None


def revived(kind: type[T], values: Any, name: str = "") -> T:
    """A dataclass from its `asdict` after JSON. ValueError names what it does not know."""
    if not isinstance(values, dict):
        raise ValueError(f"{name or 'it'} is {values!r}, expected an object")
    hints: dict[str, Any] = get_type_hints(kind)
    if unknown := sorted(set(values) - set(hints)):
        raise ValueError(f"unknown key {name}{unknown[0]}; expected some of {sorted(hints)}")
    found = {}
    for key, value in values.items():
        part = hints[key]
        whole = is_dataclass(part)
        found[key] = revived(part, value, f"{name}{key}.") if whole else frozen(value)
    return kind(**found)


def frozen(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(frozen(inner) for inner in value) if isinstance(value, list) else value

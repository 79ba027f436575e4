"""What a run was begun with, noted beside it: who goes on with other settings is told, by name."""

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def flat(value: Any, free: Collection[str], name: str = "") -> dict[str, Any]:
    """JSON as dotted names and values, without the keys in `free`."""
    if not isinstance(value, dict):
        return {name: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if key not in free:
            found |= flat(inner, free, f"{name}.{key}" if name else key)
    return found


def note(path: Path, settings: "DataclassInstance", free: Collection[str]) -> None:
    """Write `settings` to `path`. ValueError if the run there was begun with others.

    What stands in `free`, at any depth, may change within a run.
    """
    text = json.dumps(asdict(settings), indent=2, default=str) + "\n"
    if path.exists():
        try:
            old = flat(json.loads(path.read_text()), free)
        except ValueError as error:
            raise ValueError(f"{path} cannot be read as JSON, expected a run's recipe") from error
        new = flat(json.loads(text), free)
        for name in [*new, *(name for name in old if name not in new)]:
            was, now = old.get(name, "absent"), new.get(name, "absent")
            if was != now:
                raise ValueError(
                    f"{path.parent} holds a run with {name} {was!r}, this one has {now!r}; "
                    "expected the same: name another folder, or delete that one to start over"
                )
    path.write_text(text)

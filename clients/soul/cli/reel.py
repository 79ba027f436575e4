"""A film in the making that survives an interruption: a folder of finished takes beside it.

A take is some chunks' pictures, encoded, and the stream's state behind them. The film is joined of
takes without being encoded anew, so one that was interrupted is the same file. Knows films and
folders; does NOT know the model.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from soul.cli.film import Film, FilmError

PLAN, STATE = "plan.json", "state.pt"


def fingerprint(data: bytes) -> str:
    """What tells one input from another."""
    return hashlib.sha256(data).hexdigest()


class Reel:
    """The takes of one film. `plan` is all that the film follows from, as JSON has it."""

    def __init__(
        self, output: Path, size: tuple[int, int], fps: int, plan: Mapping[str, Any]
    ) -> None:
        self.folder = output.with_name(f".{output.name}.takes")
        self._output, self._size, self._fps, self._plan = output, size, fps, dict(plan)
        self.takes = 0
        self.pictures = 0

    def check(self) -> None:
        """FilmError if neither film nor takes can be written: told before weights are read."""
        place = self._output.parent
        if not place.is_dir() or not os.access(place, os.W_OK):
            raise FilmError(
                f"{str(self._output)!r} cannot be written: {str(place)!r} is no folder that files "
                "can be made in; choose another --output"
            )

    def open(self, device: torch.device) -> dict[str, Any] | None:
        """The state behind the last whole take, its tensors on `device`; None where none is.

        Takes of another plan are removed. FilmError if the folder cannot be used.
        """
        try:
            if not self._of_this_plan():
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder.mkdir(parents=True)
                (self.folder / PLAN).write_text(json.dumps(self._plan, indent=2) + "\n")
                return None
            values = torch.load(self.folder / STATE, map_location=device, weights_only=True)
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, UnpicklingError, EOFError) as error:
            raise FilmError(
                f"what was made of {str(self._output)!r} so far cannot be used "
                f"({str(error).splitlines()[0]}); remove {str(self.folder)!r} to begin anew"
            ) from None
        self.takes, self.pictures = values["takes"], values["pictures"]
        state: dict[str, Any] = values["state"]
        return state

    def _of_this_plan(self) -> bool:
        try:
            return bool(json.loads((self.folder / PLAN).read_text()) == self._plan)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return False

    def add(self, pictures: list[NDArray[np.uint8]], state: dict[str, Any]) -> None:
        """One more take, [n, height, width, 3] each, and the state behind it.

        The state comes last: a take without it is made again. FilmError if the disk refuses.
        """
        silence = np.zeros((1, 0), np.float32)
        with Film(self._take(self.takes), self._size, silence, self._fps) as film:
            for some in pictures:
                film.add(some)
        self.takes += 1
        self.pictures += sum(len(some) for some in pictures)
        values = {"takes": self.takes, "pictures": self.pictures, "state": state}
        fresh = self.folder / f"{STATE}.new"
        try:
            torch.save(values, fresh)
            fresh.replace(self.folder / STATE)
        except (OSError, RuntimeError) as error:
            raise FilmError(f"{str(self.folder)!r} cannot be written: {error}") from None

    def join(self, sound: NDArray[np.float32]) -> None:
        """The film from all takes, with its sound [channels, m] at 48 kHz; then the takes go."""
        first = self._take(0)
        with Film(self._output, self._size, sound, self._fps, like=first) as film:
            for number in range(self.takes):
                film.append(self._take(number))
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take(self, number: int) -> Path:
        return self.folder / f"{number:05d}.mp4"

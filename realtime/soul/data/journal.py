"""What a run has decided so far, line by line: a line that is written is done, and never again.

Knows JSON and nothing of what the lines mean. One process writes.
"""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from soul.data.errors import StopError


class Journal:
    """Lines of JSON in `path`. `entries` are those that were there when it was opened.

    A last line without an end was being written when its run was killed: it is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.touch()
            whole = path.read_bytes()
            done = whole.rfind(b"\n") + 1
            if done < len(whole):
                os.truncate(path, done)
            self._file = path.open("ab", buffering=0)  # what fails is not tried again
        except OSError as error:
            raise self._failed(error) from error
        self.entries = [
            self._entry(number, line)
            for number, line in enumerate(whole[:done].splitlines(), start=1)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, entry: dict[str, Any]) -> None:
        """Writes one line through to the disk; StopError if that fails."""
        left = memoryview(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        whole = self._file.tell()
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            os.truncate(self._path, whole)
            raise self._failed(error) from error

    def _entry(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise StopError(f"line {number} of {str(self._path)!r} is broken ({error})") from error
        if not isinstance(found, dict):
            raise StopError(f"line {number} of {str(self._path)!r} is {found!r}; expected an entry")
        return found

    def _failed(self, error: OSError) -> StopError:
        return StopError(f"{str(self._path)!r} cannot be written ({error.strerror})")

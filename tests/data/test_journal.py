"""The journal keeps whole lines, whatever happened to the process that wrote them."""

import resource
from pathlib import Path

import pytest

from soul.data.errors import StopError
from soul.data.journal import Journal


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        assert journal.entries == []
        journal.append({"a": 1})
        journal.append({"b": "für\n"})
    with Journal(path) as journal:
        assert journal.entries == [{"a": 1}, {"b": "für\n"}]


def test_a_line_that_was_being_written_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": "f')
    with Journal(path) as journal:
        assert journal.entries == [{"a": 1}]
        journal.append({"c": 3})
    assert path.read_bytes() == b'{"a": 1}\n{"c": 3}\n'


@pytest.mark.parametrize("line", ["{", "3"])
def test_a_broken_line_is_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n{{"b": 2}}\n')
    with pytest.raises(StopError, match=r"line 2 of '.*journal.jsonl' is"):
        Journal(path)


def test_a_full_disk_is_told_and_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(path) as journal:
        journal.append({"a": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))  # bytes: a disk that is full
        try:
            with pytest.raises(
                StopError, match=r"journal.jsonl' cannot be written \(File too large"
            ):
                journal.append({"long": "x" * 99})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b'{"a": 1}\n'

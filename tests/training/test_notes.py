"""A run's settings beside it: the same go on, others are named, some may change."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from soul.training.notes import flat, note


@dataclass(frozen=True)
class Inner:
    batch: int = 4
    length: int = 10


@dataclass(frozen=True)
class Settings:
    seed: int = 0
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)


def test_names_are_dotted_and_what_is_free_is_left_out() -> None:
    values = {"seed": 0, "inner": {"batch": 4, "length": 10}}
    assert flat(values, ("length",)) == {"seed": 0, "inner.batch": 4}


def test_the_same_settings_go_on_and_free_ones_may_change(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    note(path, Settings(), ("length",))
    note(path, Settings(), ("length",))
    note(path, Settings(inner=Inner(length=20)), ("length",))
    assert '"length": 20' in path.read_text()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (replace(Settings(), seed=1), "holds a run with seed 0, this one has 1; expected the same"),
        (Settings(inner=Inner(batch=5)), r"inner\.batch 4, this one has 5"),
        (Settings(sizes=(1, 3)), r"sizes \[1, 2\], this one has \[1, 3\]"),
        (Inner(), "batch 'absent', this one has 4"),
    ],
)
def test_other_settings_are_named(tmp_path: Path, other: Settings | Inner, sentence: str) -> None:
    path = tmp_path / "run.json"
    note(path, Settings(), ())
    before = path.read_text()
    with pytest.raises(ValueError, match=sentence):
        note(path, other, ())
    assert path.read_text() == before


def test_a_note_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json cannot be read as JSON"):
        note(tmp_path / "run.json", Settings(), ())

"""A licence is asked about once; another text, or another model, is asked about again."""

from dataclasses import replace
from pathlib import Path

import pytest

from soul.checkpoints.licences import AGREED, home, open_questions, remember
from soul.checkpoints.manifest import Origin
from soul.checkpoints.sources import CheckpointError

FREE = Origin("wan", "Apache-2.0")
STRICT = Origin("talk", "non-commercial", commercial=False)


def test_only_licences_that_forbid_are_asked_about_and_once(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert open_questions((FREE, STRICT), folder) == [STRICT]
    remember(STRICT, folder)
    assert open_questions((FREE, STRICT), folder) == []
    changed = replace(STRICT, licence="stricter")
    assert open_questions((changed, replace(STRICT, name="other")), folder) != []
    assert [path.name for path in folder.iterdir()] == [AGREED]


def test_a_broken_list_is_named(tmp_path: Path) -> None:
    (tmp_path / AGREED).write_text("{}")
    with pytest.raises(CheckpointError, match="is not a list of agreements"):
        open_questions((STRICT,), tmp_path)


def test_home_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUL_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("SOUL_HOME")
    assert home() == Path.home() / ".cache" / "soul"

"""What is told of public checkpoints is complete, consistent, and nothing is guessed."""

import re

import pytest

from soul.checkpoints.catalogue import CATALOGUE, known
from soul.checkpoints.convert import LIKELY
from soul.checkpoints.families import FAMILIES
from soul.checkpoints.sources import CheckpointError

NAMES = [entry.name for entry in CATALOGUE]


def test_every_entry_is_whole() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for entry in CATALOGUE:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.repository)
        assert entry.revision == "main" or re.fullmatch("[0-9a-f]{40}", entry.revision)
        assert entry.licence
        assert entry.does
        assert entry.files
        assert set(entry.needs) <= set(NAMES)
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in entry.sha256.values())


def test_the_checkpoints_of_the_issue_are_known() -> None:
    assert {family.name for family in FAMILIES} <= set(NAMES)
    assert set(LIKELY.values()) <= set(NAMES)
    assert {"longlive-2.0-5b", "abot-world-0-5b-lf", "talkverse-5b", "taew2_2"} <= set(NAMES)


def test_licences_that_forbid_commercial_use_are_marked() -> None:
    assert {entry.name for entry in CATALOGUE if not entry.commercial} == {
        "talkverse-5b",
        "livetalk-1.3b",
    }


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(CheckpointError) as caught:
        known("wan3")
    said = str(caught.value)
    assert said.startswith("no checkpoint is called 'wan3'; expected one of wan2.2-ti2v-5b, ")
    assert all(name in said for name in NAMES)

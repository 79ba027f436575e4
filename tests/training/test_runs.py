"""A run is read back as it was begun; what is none says so in one sentence."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from made_runs import made_run
from soul.model.config import SOUL_TEST
from soul.training.dataset import BankConfig
from soul.training.progress import Length
from soul.training.recipe import NOTE, Recipe, limited, note_recipe
from soul.training.runs import RunError, open_run, read_recipe


def test_a_recipe_survives_its_note(tmp_path: Path) -> None:
    usual = limited(Recipe(model=SOUL_TEST, bank=BankConfig(size=64)), 7)
    recipe = replace(usual, seed=3, light=replace(usual.light, length=Length(5), noise=0.125))
    note_recipe(tmp_path / NOTE, recipe)
    assert read_recipe(tmp_path / NOTE) == recipe


def test_what_an_older_note_does_not_name_is_as_today(tmp_path: Path) -> None:
    values = asdict(Recipe())
    del values["identity"], values["teacher"]["overlap"]
    (tmp_path / NOTE).write_text(json.dumps(values))
    assert read_recipe(tmp_path / NOTE) == Recipe()


def test_a_half_finished_run_gives_its_latents(tmp_path: Path) -> None:
    recipe = made_run(tmp_path / "run")
    run = open_run(tmp_path / "run", "cpu")
    assert run.recipe == recipe
    assert run.latents().latents.shape == (8, 4, 48, 4, 4)
    assert run.painter().encoder.mean.shape == (48,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not the recipe of a run"),
        ("[]", r"it is \[\], expected an object"),
        ('{"tacher": 3}', "unknown key tacher"),
        ('{"teacher": {"length": {"stps": 3}}}', r"unknown key teacher\.length\.stps"),
        ('{"teacher": 3}', r"teacher\. is 3, expected an object"),
    ],
)
def test_a_note_that_is_no_recipe_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / NOTE).write_text(text)
    with pytest.raises(RunError, match=sentence):
        open_run(tmp_path, "cpu")


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run at .*nowhere.*expected a folder of soul train"):
        open_run(tmp_path / "nowhere", "cpu")

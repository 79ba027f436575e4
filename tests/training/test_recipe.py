"""The whole recipe at the smallest sizes: every stage, from nothing to a model that runs."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soul.model.config import SOUL_MINI, SOUL_MINI_512, SOUL_TEST
from soul.model.cues import CUES
from soul.model.load import WeightsError, load
from soul.model.sample import advance, cut, open_stream
from soul.training.dataset import MICROPHONES, BankConfig, open_bank
from soul.training.identity import load_identity
from soul.training.progress import Length
from soul.training.recipe import (
    STAGES,
    TRAINED,
    VOICED,
    MissingStage,
    Recipe,
    Run,
    continued,
    encoded_arrays,
    limited,
    recipe_of,
    run,
    small,
    undone,
)

JUDGES = ("probe", "evaluate")  # they look at pictures of soul-mini's size
STEPS = Length(2)


def tiny() -> Recipe:
    recipe = small(Recipe(model=SOUL_TEST, bank=BankConfig(size=64), processes=1, threads=1))
    return replace(
        recipe,
        bank=replace(recipe.bank, clips=2, frames=16),
        listener=replace(recipe.listener, seconds=2.0, length=STEPS),
        reader=replace(recipe.reader, length=STEPS),
        autoencoder=replace(recipe.autoencoder, length=STEPS),
        light=replace(recipe.light, length=STEPS),
        full=replace(recipe.full, length=STEPS),
        teacher=replace(recipe.teacher, length=STEPS),
        student=replace(recipe.student, length=STEPS),
        match=replace(recipe.match, length=STEPS),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run(folder, tiny(), tuple(s for s in STAGES if s not in JUDGES))
    return folder


def test_every_stage_has_its_method(tmp_path: Path) -> None:
    assert tuple(Run(tmp_path, Recipe()).stages) == STAGES


def test_every_stage_leaves_its_mark(folder: Path) -> None:
    done = {path.stem for path in folder.glob("*.done")}
    assert done == set(STAGES) - set(JUDGES)
    note = json.loads((folder / "recipe.json").read_text())
    assert note["model"]["name"] == "soul-test"
    for stage in (
        "listener", "reader", "autoencoder", "light", "full", "teacher", "student", "match",
    ):  # fmt: skip
        assert (folder / stage / "state.pt").exists()
    for stage in ("autoencoder", "light", "full", "teacher", "student", "match"):
        assert (folder / stage / "samples.png").exists()


def test_the_eye_for_people_is_left_with_its_figure(folder: Path) -> None:
    assert load_identity(folder / "identity.safetensors").read(np.zeros((1, 64, 64, 3), np.uint8))[
        0
    ].shape == (64,)
    assert 0 <= json.loads((folder / "identity.json").read_text())["equal_error_rate"] <= 1


def test_a_run_from_before_the_eye_for_people_goes_on(tmp_path: Path) -> None:
    run(tmp_path, tiny(), ())
    note = json.loads((tmp_path / "recipe.json").read_text())
    del note["identity"]
    (tmp_path / "recipe.json").write_text(json.dumps(note))
    run(tmp_path, tiny(), ())


def test_latents_have_the_models_shape(folder: Path) -> None:
    latents = Run(folder, tiny()).latents()
    assert latents.pivotal.shape == (2, 4, 48, 4, 4)
    assert latents.cues.shape == (2, 4, 4, CUES)
    assert latents.latents.shape == (2, 4, 48, 4, 4)
    assert latents.tokens.shape == (2, MICROPHONES, 4, 13, 16)
    assert latents.boxes.shape == (2, 4, 3, 4)
    assert np.isfinite(latents.latents).all()
    assert latents.latents.std() > 0.01
    low, high = latents.boxes[..., :2], latents.boxes[..., 2:]
    assert (low < high).all()
    assert high.max() < 5  # in latent cells


def test_what_is_exported_loads_and_runs(folder: Path) -> None:
    model = load(str(folder / "model"))
    assert 0 < float(model.codebook.threshold) < float("inf")
    with torch.inference_mode():
        state = open_stream(model, torch.zeros(3, 64, 64), "a person", seed=0)
        for window in cut(model.config, torch.randn(6000) * 0.1):
            pictures = advance(model, [state], window[None])
    assert pictures.shape == (1, 4, 64, 64, 3)
    assert state.chunk == 3


def test_the_export_holds_what_each_stage_learned(folder: Path) -> None:
    model = load(str(folder / "model")).state_dict()
    origin = {"autoencoder": "encoder", "light": "decoder", "listener": "audio"}
    for stage, part in origin.items():
        learned = torch.load(folder / stage / "state.pt", weights_only=True)["module"]
        for name, value in learned.items():
            if name.startswith(f"{part}."):
                torch.testing.assert_close(model[name], value, atol=1e-5, rtol=2**-10)


def test_a_run_may_begin_with_a_model(folder: Path, tmp_path: Path) -> None:
    """Its autoencoder learns on in its scale; the transformer begins from its weights."""
    origin = load(str(folder / "model"))
    recipe = replace(tiny(), origin=str(folder / "model"))
    for name in ("bank", "latents"):  # the same clips, spoken already
        (tmp_path / name).symlink_to(folder / name)
    for stage in ("bank", "listener", "encode"):
        (tmp_path / f"{stage}.done").write_text("")
    shutil.copytree(folder / "listener", tmp_path / "listener")
    run(tmp_path, recipe, ("reader", "autoencoder", "codebook", "teacher"))
    found = torch.load(tmp_path / "autoencoder" / "state.pt", weights_only=True)["module"]
    for part in ("encoder", "decoder"):
        for name, value in getattr(origin, part).state_dict().items():
            torch.testing.assert_close(found[f"{part}.{name}"], value, atol=0.01, rtol=0)
    for name in ("mean", "deviation"):
        assert torch.equal(found[f"encoder.{name}"], getattr(origin.encoder, name))
    assert not torch.equal(found["encoder.out.weight"], origin.encoder.out.weight)
    begun = Run(tmp_path, recipe)._assembled()
    for name, value in origin.dit.state_dict().items():
        assert torch.equal(begun.dit.state_dict()[name], value)


def test_a_model_of_other_sizes_is_no_beginning(folder: Path, tmp_path: Path) -> None:
    recipe = replace(tiny(), model=replace(tiny().model, dit=replace(tiny().model.dit, ffn_dim=32)))
    with pytest.raises(WeightsError, match="expected a model with the sizes of soul-test"):
        run(tmp_path / "run", replace(recipe, origin=str(folder / "model")))
    assert not (tmp_path / "run").exists()


def test_continuing_is_shorter_and_names_its_origin() -> None:
    usual, further = Recipe(), continued(Recipe(), "soul-mini")
    assert further.origin == "soul-mini"
    for stage in ("listener", "light", "teacher", "student"):
        assert getattr(further, stage).length.steps < getattr(usual, stage).length.steps


def test_a_stage_that_is_done_is_not_run_again(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    with caplog.at_level(logging.INFO, "soul.training"):
        run(folder, tiny(), ("student", "bank"))
    assert caplog.messages == ["bank  already done", "student  already done"]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")} == before


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (replace(tiny(), seed=3), "a run with seed 0, this one has 3; expected the same"),
        (replace(tiny(), quantile=0.5), "a run with quantile 0.995, this one has 0.5"),
        (
            replace(tiny(), teacher=replace(tiny().teacher, batch=7)),
            r"a run with teacher\.batch 1, this one has 7",
        ),
    ],
)
def test_a_folder_with_another_recipe_is_refused(
    folder: Path, other: Recipe, sentence: str
) -> None:
    before = (folder / "recipe.json").read_text()
    with pytest.raises(ValueError, match=sentence):
        run(folder, other, ("bank",))
    assert (folder / "recipe.json").read_text() == before


def test_lengths_and_the_machine_may_change_within_a_run(tmp_path: Path) -> None:
    run(tmp_path, tiny(), ())
    other = limited(replace(tiny(), processes=2, device="cuda"), 3)
    other = replace(other, student=replace(other.student, save_every=9))
    run(tmp_path, other, ())
    note = json.loads((tmp_path / "recipe.json").read_text())
    assert (note["device"], note["student"]["length"]["minutes"]) == ("cuda", 3)


def test_a_note_that_is_no_recipe_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match=r"recipe\.json cannot be read as JSON"):
        run(tmp_path, tiny(), ())


def test_an_encoding_that_was_stopped_is_not_there(tmp_path: Path, folder: Path) -> None:
    arrays = encoded_arrays(tmp_path / "latents", open_bank(folder / "bank"), SOUL_TEST)
    assert set(arrays) == {"pivotal", "latents", "tokens"}
    assert list(tmp_path.rglob("*.npy")) == []
    assert list(folder.rglob("*.new")) == []


def test_what_is_left_to_do(folder: Path) -> None:
    assert undone(folder, STAGES) == JUDGES
    assert undone(folder, ("evaluate", "bank")) == ("evaluate",)
    assert set(VOICED) <= set(STAGES)


def test_a_stage_asked_for_too_early_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(MissingStage, match=r"stage student needs .* an earlier stage leaves"):
        run(tmp_path, tiny(), ("student",))


def test_an_unknown_stage_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown stage 'taecher'; expected some of bank"):
        run(tmp_path / "new", tiny(), ("bank", "taecher"))
    assert not (tmp_path / "new").exists()


def test_a_bank_of_another_size_than_the_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bank\.size 256 differs from model\.image_size 64"):
        Recipe(model=SOUL_TEST)


def test_the_recipe_of_soul_mini_is_the_usual_one() -> None:
    assert recipe_of(SOUL_MINI) == Recipe()
    assert set(TRAINED) == {"soul-mini", "soul-mini-512"}


def test_larger_pictures_have_larger_clips_and_crops() -> None:
    usual, larger = Recipe(), recipe_of(SOUL_MINI_512)
    assert (larger.bank.size, larger.autoencoder.crop) == (512, 256)
    assert larger.light.crop == larger.full.crop == 256
    back = replace(
        larger,
        model=usual.model,
        bank=usual.bank,
        autoencoder=usual.autoencoder,
        light=usual.light,
        full=usual.full,
    )
    assert back == usual
    assert small(larger).model.image_size == 512


def test_a_model_whose_pictures_are_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="64 is not a multiple of 256"):
        recipe_of(SOUL_TEST)


def test_small_is_the_same_path() -> None:
    short = small(Recipe())
    assert short.model == replace(Recipe().model, centroids=64)
    assert short.student.length.steps == 3
    assert small(tiny()).model.centroids == SOUL_TEST.centroids


def test_limited_ends_every_stage_by_the_clock() -> None:
    recipe = limited(Recipe(), 7)
    parts = (recipe.listener, recipe.autoencoder, recipe.light, recipe.full, recipe.teacher)
    assert {part.length.minutes for part in (*parts, recipe.student, recipe.match)} == {7}

"""Weights out and in again, and one sentence for each way in which they can be wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from soul.model.config import SOUL_MINI_512, SOUL_TEST, to_dict
from soul.model.load import CONFIG, WEIGHTS, WeightsError, folder_of, load, save
from soul.model.sample import Soul, advance, build, open_stream


@pytest.fixture
def folder(tmp_path: Path, model: Soul) -> Path:
    save(model, tmp_path / "model")
    return tmp_path / "model"


def refused(folder: Path) -> str:
    """The one sentence with which `folder` is refused."""
    with pytest.raises(WeightsError) as caught:
        load(str(folder))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(folder) in sentence
    return sentence


def edit(folder: Path, **tensors: Tensor | None) -> None:
    """Write the weights anew with some tensors exchanged, added, or taken out (None)."""
    values: dict[str, Tensor | None] = {**load_file(folder / WEIGHTS), **tensors}
    save_file({k: v for k, v in values.items() if v is not None}, folder / WEIGHTS)


def test_what_was_measured_is_kept_in_full(tmp_path: Path) -> None:
    """A latent's mean may be larger than half precision's largest number, 65,504."""
    model = build(SOUL_TEST, 0)
    model.encoder.mean.fill_(123_456.0)
    save(model, tmp_path)
    assert torch.equal(load(str(tmp_path)).encoder.mean, model.encoder.mean)


def test_what_was_saved_is_loaded(folder: Path, model: Soul) -> None:
    found = load(str(folder))
    assert found.config == model.config
    values = found.state_dict()
    for name, wanted in model.state_dict().items():
        assert values[name].dtype == torch.float32
        torch.testing.assert_close(values[name], wanted, atol=1e-5, rtol=2**-10)
    assert not found.training
    assert not any(p.requires_grad for p in found.parameters())


def test_in_full_precision_nothing_is_lost(tmp_path: Path, model: Soul) -> None:
    save(model, tmp_path, torch.float32)
    for name, value in load(str(tmp_path)).state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_a_threshold_without_bound_survives(tmp_path: Path) -> None:
    save(Soul(SOUL_TEST), tmp_path)
    assert load(str(tmp_path)).codebook.threshold == float("inf")


def test_a_loaded_model_runs(folder: Path, portraits: Tensor) -> None:
    model = load(str(folder))
    with torch.inference_mode():
        state = open_stream(model, portraits[0], "a person", seed=0)
        pictures = advance(model, [state], torch.zeros(1, SOUL_TEST.window_samples))
    assert pictures.shape == (1, 4, 64, 64, 3)


def test_the_larger_mini_loads_and_animates(tmp_path: Path) -> None:
    config = replace(SOUL_MINI_512, centroids=16)
    save(build(config, 0), tmp_path / "soul-mini-512")
    model = load(str(tmp_path / "soul-mini-512"))
    assert model.config == config
    with torch.inference_mode():
        state = open_stream(model, torch.zeros(3, 512, 512), "a person", seed=0)
        for _ in range(2):
            pictures = advance(model, [state], torch.zeros(1, config.window_samples))
    assert pictures.shape == (1, 4, 512, 512, 3)
    assert state.chunk == 2


def test_a_name_that_is_not_shipped_is_a_path() -> None:
    assert folder_of("somewhere/else") == Path("somewhere/else")


@pytest.mark.parametrize("where", ["nowhere", "model/model.safetensors"])
def test_a_folder_that_is_not_there(folder: Path, where: str) -> None:
    sentence = refused(folder.parent / where)
    assert sentence.startswith("no model at")
    assert CONFIG in sentence


def test_weights_that_are_not_there(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    assert refused(folder).startswith("weights are missing")


@pytest.mark.parametrize("kept", [0, 4, 1000, -1])
def test_weights_that_are_cut_short(folder: Path, kept: int) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:kept])
    assert "is not a whole safetensors file" in refused(folder)


def test_a_tensor_that_is_missing(folder: Path) -> None:
    edit(folder, **{"dit.head.head.weight": None})
    assert "lacks 1 tensors, the first is 'dit.head.head.weight'" in refused(folder)


def test_a_tensor_too_many(folder: Path) -> None:
    edit(folder, **{"dit.surplus": torch.zeros(1)})
    assert "has unexpected 1 tensors, the first is 'dit.surplus'" in refused(folder)


def test_a_tensor_of_the_wrong_shape(folder: Path) -> None:
    edit(folder, **{"codebook.centroids": torch.zeros(16, 47)})
    assert "codebook.centroids has shape (16, 47), expected (16, 48)" in refused(folder)


def test_a_config_that_does_not_fit_its_weights(folder: Path) -> None:
    wider = replace(SOUL_TEST, centroids=17)
    (folder / CONFIG).write_text(json.dumps(to_dict(wider)))
    assert "codebook.centroids has shape (16, 48), expected (17, 48)" in refused(folder)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not a Soul config"),
        ('["abc"]', "expected an object"),
        ('{"image_size": 64}', "name"),
        ('{"name": "x", "colour": 1}', "'colour'"),
        ('{"name": "x", "dit": 3}', "is not a Soul config"),
        ('{"name": "x", "image_size": 65}', "image_size 65"),
        ('{"name": "x", "dit": {"heads": 7}}', "7 heads"),
    ],
)
def test_a_config_that_is_broken(folder: Path, text: str, sentence: str) -> None:
    (folder / CONFIG).write_text(text)
    assert sentence in refused(folder)


def test_a_config_that_is_no_text(folder: Path) -> None:
    (folder / CONFIG).write_bytes(b"\xff\xfe\x00{")
    assert "is not a Soul config" in refused(folder)


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_here(device: str) -> None:
    with pytest.raises(WeightsError, match=f"the device '{device}' is not usable here"):
        load("soul-mini", device)

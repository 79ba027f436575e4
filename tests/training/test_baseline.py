"""The baseline is the teacher that was saved, and one guided step of it is what guidance says."""

from pathlib import Path

import pytest
import torch

from soul.model.config import SOUL_TEST
from soul.model.load import WeightsError
from soul.model.sample import Soul, advance, build, cut, open_stream
from soul.model.vae import full_decoder
from soul.training.baseline import advance_guided, load_baseline, save_baseline
from soul.training.diffusion import learned

PORTRAIT = torch.linspace(-1, 1, 3 * 64 * 64).view(3, 64, 64)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("baseline") / "baseline.safetensors"
    save_baseline(build(SOUL_TEST, 1), full_decoder(SOUL_TEST.vae), path)
    return path


def test_the_teachers_own_parts_come_back_and_the_rest_is_the_students(path: Path) -> None:
    student, teacher = build(SOUL_TEST, 0), build(SOUL_TEST, 1)
    found = load_baseline(student, path)
    for name, value in learned(teacher).state_dict().items():
        torch.testing.assert_close(learned(found).state_dict()[name], value, atol=1e-3, rtol=1e-3)
    assert torch.equal(found.encoder.out.weight, student.encoder.out.weight)
    assert sum(p.numel() for p in found.decoder.parameters()) == sum(
        p.numel() for p in full_decoder(SOUL_TEST.vae).parameters()
    )
    assert not torch.equal(student.dit.head.head.weight, found.dit.head.head.weight)


@torch.inference_mode()
def test_without_guidance_it_is_the_live_rollout(model: Soul) -> None:
    mine, theirs = (open_stream(model, PORTRAIT, "a calm person", seed=1) for _ in range(2))
    for window in cut(model.config, 0.1 * torch.randn(6000)):
        pictures = advance(model, [mine], window[None], steps=3)
        guided = advance_guided(model, [theirs], window[None], steps=3, scale=1.0)
        assert (pictures.int() - guided.int()).abs().max() <= 1


def test_a_file_that_is_no_baseline_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "baseline.safetensors"
    broken.write_bytes(b"nothing")
    for path in (broken, tmp_path / "missing.safetensors"):
        with pytest.raises(WeightsError, match=f"{path.name} is not a whole safetensors file"):
            load_baseline(build(SOUL_TEST, 0), path)

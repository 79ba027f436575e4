"""Runs over a large model that are killed and go on; their means over time; and LoRA."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from made_tuning import TUNING, furthest, left, made_model, made_run, tuned, weights
from soul.checkpoints.manifest import MANIFEST, read_manifest
from soul.checkpoints.sources import open_tensors
from soul.training import diffusion
from soul.training.checkpoint import Checkpoint
from soul.training.diffusion import descend
from soul.training.tune.export import ADAPTER
from soul.training.tune.run import Place
from soul.training.tune.settings import LoraConfig
from soul.training.tune.states import Sharded, local, states


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_model(tmp_path_factory.mktemp("base") / "tiny")


class Killed:
    """Stands for `descend`: the `after`-th step of the process is its last."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, checkpoint: Checkpoint, loss: Tensor, peak: float) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        descend(checkpoint, loss, peak)


def test_a_killed_run_goes_on_to_the_same_weights(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by another number of processes, and with gradients added up and means over time."""
    how = replace(TUNING, ema=0.5, accumulate=2)
    whole, dead = (made_run(tmp_path / name, base) for name in ("whole", "dead"))
    assert tuned(whole, how, ("teacher",), 2) == [0, 0]
    monkeypatch.setattr(diffusion, "descend", Killed(7))
    assert -signal.SIGKILL in tuned(dead, how, ("teacher",), 2)
    monkeypatch.undo()
    assert [path.name for path in states(dead.out / "teacher")] == ["state-00000004"]
    assert not (dead.out / "teacher" / "model").exists()
    shutil.copytree(dead.out, tmp_path / "other")
    assert tuned(dead, how, ("teacher",), 2) == [0, 0]
    assert furthest(left(whole), left(dead)) == 0
    other = Place(tmp_path / "other", base)
    assert tuned(other, how, ("teacher",), 1) == [0]
    assert furthest(left(whole), left(other)) < 1e-4


def test_means_follow_their_formula(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = Sharded.follow

    def noted(self: Sharded) -> None:
        follow(self)
        seen = {name: local(p).detach().clone() for name, p in self.weights().items()}
        torch.save(seen, self.path / f"seen-{self.progress.step}")

    monkeypatch.setattr(Sharded, "follow", noted)
    place = made_run(tmp_path / "run", base)
    assert tuned(place, replace(TUNING, ema=0.8), ("teacher",), 1) == [0]
    mean = weights(base)
    for step in range(1, TUNING.teacher.length.steps + 1):
        seen = torch.load(place.out / "teacher" / f"seen-{step}")
        mean = {name: 0.8 * m + 0.2 * seen[f"0.{name}"] for name, m in mean.items()}
    assert furthest(mean, left(place)) < 1e-6


def test_with_lora_pairs_alone_are_trained_and_what_is_told(tmp_path: Path) -> None:
    """In bfloat16, by two processes, from a base that hears nothing: layers that hear are new."""
    whole = ("audio_embedding", "norm_audio", "audio_attn")
    lora = LoraConfig(rank=2, alpha=4.0, targets=("self_attn.q", "ffn.2"), whole=whole)
    deaf = made_model(tmp_path / "deaf", hears=False)
    place = made_run(tmp_path / "run", deaf)
    how = replace(TUNING, lora=lora, precision="bf16")
    assert tuned(place, how, ("teacher", "student"), 2) == [0, 0]
    before = weights(deaf)
    for stage in ("teacher", "student"):
        after = left(place, stage)
        changed = {k for k in before if not torch.equal(before[k].bfloat16(), after[k].bfloat16())}
        merged = {f"blocks.{i}.{t}.weight" for i in range(2) for t in lora.targets}
        assert {name for name in changed if "audio" not in name} == merged
        before = after
    assert any("audio_attn" in name for name in before)
    assert read_manifest(place.out / "teacher" / "model" / MANIFEST).audio == "attention"
    pairs = open_tensors(place.out / "teacher" / "adapter" / ADAPTER)
    assert len(pairs) == 2 * 2 * 2
    up, down = (pairs[f"blocks.1.ffn.2.lora_{matrix}.weight"].read() for matrix in "BA")
    name = "blocks.1.ffn.2.weight"
    wanted = weights(deaf)[name] + 2 * up @ down
    assert float((left(place)[name].float() - wanted).abs().max()) < 2e-3

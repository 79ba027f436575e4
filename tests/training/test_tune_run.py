"""Stages over a large model by one process and by two: the same weights, resumed, with LoRA."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from made_tuning import TUNING, forked, made_model, made_run, tuned
from soul.checkpoints.layout import open_part
from soul.checkpoints.manifest import MANIFEST, read_manifest, verify
from soul.checkpoints.sources import open_tensors
from soul.model.load import read_config
from soul.training import diffusion
from soul.training.checkpoint import Checkpoint
from soul.training.diffusion import descend
from soul.training.tune import crew
from soul.training.tune import run as tune_run
from soul.training.tune.crew import joined
from soul.training.tune.export import ADAPTER
from soul.training.tune.run import Place
from soul.training.tune.settings import LoraConfig, TuneError
from soul.training.tune.states import Sharded, local, states

STAGES = ("teacher", "student", "match")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_model(tmp_path_factory.mktemp("base") / "tiny")


def weights(folder: Path) -> dict[str, Tensor]:
    return {name: entry.read() for name, entry in open_part(folder, "dit").items()}


def left(place: Place, stage: str = "teacher") -> dict[str, Tensor]:
    return weights(place.out / stage / "model")


def furthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module", autouse=True)
def noting() -> Iterator[None]:
    """Every process notes what it was told as losses."""
    mean = crew.ShardedCrew.mean

    def noted(self: crew.ShardedCrew, loss: Tensor) -> float:
        value = mean(self, loss)
        with (self.state.path.parent / f"losses-{self.share.rank}").open("a") as file:
            file.write(f"{value!r}\n")
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew.ShardedCrew, "mean", noted)
        yield


def losses(place: Place) -> list[float]:
    """Of all stages; every process was told the same."""
    ranks = [path.read_text() for path in sorted(place.out.glob("losses-*"))]
    assert len(set(ranks)) == 1
    return [float(line) for line in ranks[0].splitlines()]


@pytest.fixture(scope="module")
def one(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """All stages in float32 by one process."""
    place = made_run(tmp_path_factory.mktemp("one") / "run", base)
    assert tuned(place, TUNING, STAGES, 1) == [0]
    return place


def test_two_processes_learn_what_one_learns(base: Path, one: Place, tmp_path: Path) -> None:
    """Every stage, its batch split in two: the same losses and the same weights."""
    two = made_run(tmp_path / "two", base)
    assert tuned(two, TUNING, STAGES, 2) == [0, 0]
    assert losses(two) == pytest.approx(losses(one), rel=1e-4)
    for stage in STAGES:
        folder = two.out / stage / "model"
        moved = furthest(left(one, stage), weights(base))
        assert moved > 1e-3
        # Adam makes much of the last digit of a small gradient.
        assert furthest(left(one, stage), left(two, stage)) < 0.05 * moved
        verify(folder, read_manifest(folder / MANIFEST))
        assert read_config(folder).name == f"tiny-{stage}"
    assert tuned(two, TUNING, STAGES, 2) == [0, 0]  # all done: nothing is opened


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


def test_in_bfloat16_the_losses_are_nearly_those_in_float32(
    base: Path, one: Place, tmp_path: Path
) -> None:
    """With blocks that are computed once more, and without."""
    low, lavish = (made_run(tmp_path / name, base) for name in ("low", "lavish"))
    how = replace(TUNING, precision="bf16")
    assert tuned(low, how, ("teacher",), 1) == [0]
    assert tuned(lavish, replace(how, recompute=False), ("teacher",), 1) == [0]
    assert losses(low) == pytest.approx(losses(one)[: len(losses(low))], rel=2e-2)
    assert losses(lavish) == losses(low)


def test_what_does_not_fit_is_refused_before_it_is_read(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune_run, "free_memory", lambda group: 1000)
    place = made_run(tmp_path / "run", base)

    def work() -> None:
        with joined("cpu") as group, pytest.raises(TuneError, match=r"0.00 GB are free"):
            tune_run.run(place, TUNING, ("teacher",), group)

    assert forked(work, 1) == [0]
    assert not (place.out / "teacher").exists()

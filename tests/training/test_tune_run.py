"""Stages over a large model by one process and by two: the same losses, the same weights."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from made_tuning import TUNING, forked, furthest, left, made_model, made_run, tuned, weights
from soul.checkpoints.manifest import MANIFEST, read_manifest, verify
from soul.model.load import read_config
from soul.training.tune import crew
from soul.training.tune import run as tune_run
from soul.training.tune.crew import joined
from soul.training.tune.run import Place
from soul.training.tune.settings import TuneError

STAGES = ("teacher", "student", "match")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_model(tmp_path_factory.mktemp("base") / "tiny")


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
        told = read_config(folder)
        assert told.name == f"tiny-{stage}"
        way = (5, "unipc", 3.0) if stage == "teacher" else (2, "euler", 1.0)
        assert (told.steps, told.solver, told.guidance) == way
    assert tuned(two, TUNING, STAGES, 2) == [0, 0]  # all done: nothing is opened


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

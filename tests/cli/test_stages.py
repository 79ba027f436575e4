"""How long the stages of chunks take, by a clock that the test moves."""

import pytest

from soul.cli import stages
from soul.cli.stages import Laps, heard_by, peak_of, percentiles, work_of
from soul.model.config import SOUL_MINI, SOUL_TEST
from soul.model.flops import pass_flops
from soul.stream.types import StageTimes


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_chunks_stages_are_told_when_the_device_is_done() -> None:
    clock = Clock()

    def settle() -> None:
        clock.now += 0.5

    laps = Laps(clock, settle)
    for chunk in range(2):
        for stage, took in (("listen", 1.0), ("denoise", 2.0), ("decode", 3.0), ("commit", 4.0)):
            with laps.lap(stage):
                clock.now += took + chunk
    with laps.lap("listen"):
        clock.now += 9  # of a chunk that was not finished
    assert laps.times() == [StageTimes(1.5, 2.5, 3.5, 4.5), StageTimes(2.5, 3.5, 4.5, 5.5)]
    with pytest.raises(ZeroDivisionError), laps.lap("denoise"):
        raise ZeroDivisionError
    assert len(laps.times()) == 2


def test_percentiles_are_in_milliseconds() -> None:
    found = percentiles([StageTimes(0.001, 0.002, 0.003, 0.004), StageTimes(0.003)])
    assert found["listen"] == {"p50": 2.0, "p95": 2.9}
    assert found["total"]["p50"] == 6.5
    assert percentiles([]) == {}


def test_work_is_counted_and_its_share_told_of_a_known_gpu_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = [StageTimes(denoise=0.5), StageTimes(denoise=0.25), StageTimes(denoise=0.5)]
    on_cpu = work_of(SOUL_TEST, 2, times, "cpu")
    assert on_cpu is not None
    assert on_cpu.mfu is None
    assert on_cpu.flops_a_pass == pass_flops(SOUL_TEST, heard_by(SOUL_TEST))
    assert on_cpu.passes == 2
    assert on_cpu.tflops_per_second == round(2 * on_cpu.flops_a_pass / 0.5e12, 4)
    monkeypatch.setattr(stages, "peak_of", lambda device: 1e-6)
    known = work_of(SOUL_TEST, 2, times, "cpu")
    assert known is not None
    assert known.mfu == round(2 * on_cpu.flops_a_pass / 0.5e6, 4)
    assert work_of(SOUL_TEST, 2, [], "cpu") is None


def test_soul_mini_hears_sixteen_tokens() -> None:
    assert heard_by(SOUL_MINI) == SOUL_MINI.dit.steered == 16


def test_a_gpus_peak_follows_from_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    names = {"cuda:0": "NVIDIA H200", "cuda:1": "NVIDIA GeForce GTX 1080"}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: names[device])
    assert peak_of("cuda:0") == 989.0
    assert peak_of("cuda:1") is None
    assert peak_of("cpu") is None

"""The table's three ways, their times in virtual time, and quality on known answers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from torch import Tensor

from soul.model.config import SOUL_TEST
from soul.model.sample import Soul, StreamState, advance, build, open_stream
from soul.model.vae import full_decoder
from soul.training.identity import Embedding
from soul.training.probe import SHIPPED, Probe, load_probe
from soul.training.table import (
    Quality,
    Row,
    TableConfig,
    Timed,
    Way,
    quality,
    table,
    ways,
    worst_loss,
)
from soul.training.takes import Played, Scene, Step, drawn

TINY = TableConfig(takes=1, chunks=12, steps=2)
WORTH = Quality(0.8, 0.98, 0.9, 25.0, 0.85, 0.7)


def eye() -> Embedding:
    torch.manual_seed(0)
    return Embedding().eval()


def test_the_worlds_own_renders_are_as_good_as_it_gets() -> None:
    found = quality(drawn, load_probe(SHIPPED), eye(), TINY)
    assert found.psnr == float("inf")
    assert found.ssim == pytest.approx(1.0)
    assert found.closed_in_silence > 0.9 or np.isnan(found.closed_in_silence)
    assert 0.8 < found.sharpness < 1.2


def test_who_shows_nothing_but_the_portrait_is_that_person() -> None:
    def still(scene: Scene) -> Played:
        shown = np.repeat(scene.artist.portrait()[None], len(scene.motion), 0)
        return Played(shown, np.ones(len(shown), np.float32))

    found = quality(still, Probe().eval(), eye(), TINY)
    assert found.identity == pytest.approx(1)
    assert found.sharpness == pytest.approx(1)
    assert found.psnr < 60


def test_a_blurred_actor_is_found_out() -> None:
    def blurred(scene: Scene) -> Played:
        played = drawn(scene)
        p = played.pictures.astype(np.float32)
        soft = (p + np.roll(p, 2, 1) + np.roll(p, 2, 2) + np.roll(p, -2, 2)) / 4
        return replace(played, pictures=soft.astype(np.uint8))

    found = quality(blurred, Probe().eval(), eye(), TINY)
    assert found.sharpness < 0.8
    assert found.ssim < 0.99
    assert found.psnr < 40


def test_a_steps_time_is_the_clocks_and_the_first_is_left_out() -> None:
    ticks: Iterator[float] = (float(n * n) for n in count())
    timed = Timed(advance, lambda: next(ticks))
    model = build(SOUL_TEST, 0)
    state = open_stream(model, torch.zeros(3, 64, 64), "", seed=0)
    with torch.inference_mode():
        for _ in range(3):
            timed(model, [state], torch.zeros(1, model.config.window_samples))
    assert timed.seconds == [4 - 1, 16 - 9]
    assert timed.chunk_ms == 5000


def test_the_ways_differ_by_one_thing_each() -> None:
    student, teacher = build(SOUL_TEST, 0), build(SOUL_TEST, 1)
    teacher.decoder = full_decoder(SOUL_TEST.vae)
    first, second, third, *others = ways(student, teacher, TINY)
    assert [way.model.config.steps for way in (third, *others)] == [2, 1, 4]
    assert all(way.model.dit is student.dit for way in others)
    assert first.model is teacher
    assert second.model.decoder is teacher.decoder
    assert torch.equal(second.model.dit.head.head.weight, student.dit.head.head.weight)
    assert third.model is student
    assert second.step is third.step is advance
    passes: list[int] = []
    teacher.dit.register_forward_hook(lambda *_: passes.append(1))
    state = open_stream(teacher, torch.zeros(3, 64, 64), "", seed=0)
    passes.clear()
    with torch.inference_mode():
        first.step(teacher, [state], torch.zeros(1, teacher.config.window_samples))
    assert len(passes) == 2 * TINY.steps + 1  # two a step, and the one that writes the window


def test_speedups_are_against_the_first_row() -> None:
    time = 0.0
    model = build(replace(SOUL_TEST, image_size=256), 0)

    def taking(seconds: float) -> Step:
        def step(model: Soul, states: Sequence[StreamState], pcm: Tensor) -> Tensor:
            nonlocal time
            pictures = advance(model, states, pcm)
            time += seconds
            return pictures

        return step

    some = [Way("slow", model, taking(1.2)), Way("fast", model, taking(0.1))]
    slow, fast = table(some, Probe().eval(), eye(), TINY, lambda: time)
    assert slow.speedup == 1.0
    assert slow.chunk_ms == pytest.approx(1200)
    assert fast.speedup == pytest.approx(12)


def test_the_worst_figure_counts() -> None:
    base = Row("a", 10, 1, WORTH)
    assert worst_loss(base, base) == 0
    worse = Row("b", 1, 10, replace(WORTH, ssim=0.85 * 0.97, psnr=30.0))
    assert worst_loss(worse, base) == pytest.approx(0.03)
    silent = Row("c", 1, 10, replace(WORTH, mouth_correlation=float("nan")))
    assert worst_loss(silent, base) == 0

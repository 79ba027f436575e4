"""Many streams through one tiny model: the same pictures as the one rollout, and states apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soul.model import sample
from soul.model.config import SOUL_TEST
from soul.model.load import WeightsError, save
from soul.model.sample import Soul
from soul.model.vae import from_bytes
from soul.stream.performer import Performer, load_performer, warm_up
from soul.stream.types import Frames, Pictures, Samples, Work


class Ticks:
    """A clock that moves on by one second a reading."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture(scope="module")
def model() -> Soul:
    return sample.build(SOUL_TEST, seed=1)


def portrait(seed: int) -> Pictures:
    shape = (SOUL_TEST.height, SOUL_TEST.width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def sound(seed: int) -> Samples:
    noise = np.random.default_rng(seed).standard_normal(SOUL_TEST.window_samples)
    return (noise * 0.1).astype(np.float32)


def work(
    stream: str, chunk: int, steps: int = 2, seed: int | None = None, prompt: str | None = None
) -> Work:
    return Work(stream, chunk, sound(chunk if seed is None else seed), steps, 0, prompt)


def perform(performer: Performer, *works: Work) -> list[Frames]:
    return list(performer.perform(works))


def test_pictures_are_those_of_the_one_rollout(model: Soul) -> None:
    performer = Performer(model, Ticks())
    performer.open("a", portrait(1), "a person", seed=5)
    shown = [perform(performer, work("a", n))[0].pictures for n in range(3)]
    picture = from_bytes(portrait(1))
    with torch.no_grad():
        state = sample.open_stream(model, picture, "a person", seed=5)
        expected = [
            sample.advance(model, [state], torch.from_numpy(sound(n))[None])[0].numpy()
            for n in range(3)
        ]
    np.testing.assert_array_equal(np.stack(shown), np.stack(expected))


def test_a_stream_is_the_same_alone_and_in_company(model: Soul) -> None:
    alone, together = Performer(model, Ticks()), Performer(model, Ticks())
    alone.open("a", portrait(1), "a person", seed=5)
    together.open("a", portrait(1), "a person", seed=5)
    together.open("b", portrait(2), "someone else", seed=6)
    for n in range(3):
        expected = perform(alone, work("a", n))[0].pictures.astype(int)
        both = perform(together, work("b", n, seed=90 + n), work("a", n))
        assert [frames.stream for frames in both] == ["b", "a"]
        assert np.abs(both[1].pictures - expected).max() <= 1  # a rounding of float32


def test_a_prompt_that_comes_with_a_chunk_is_that_of_the_one_rollout(model: Soul) -> None:
    performer = Performer(model, Ticks())
    performer.open("a", portrait(1), "calm", seed=5)
    performer.open("b", portrait(2), "calm", seed=6)
    prompts = {1: "glad", 3: "sad"}
    shown = []
    for n in range(5):
        shown.append(perform(performer, work("a", n, prompt=prompts.get(n)))[0].pictures)
        perform(performer, work("b", n))
    with torch.no_grad():
        state = sample.open_stream(model, from_bytes(portrait(1)), "calm", seed=5)
        expected = []
        for n in range(5):
            if n in prompts:
                sample.set_prompt(model, state, prompts[n])
            pcm = torch.from_numpy(sound(n))[None]
            expected.append(sample.advance(model, [state], pcm)[0].numpy())
    np.testing.assert_array_equal(np.stack(shown), np.stack(expected))


def test_the_words_of_a_prompt_are_read_after_the_pictures_have_left(model: Soul) -> None:
    performer = Performer(model, Ticks())
    performer.open("a", portrait(1), "calm", seed=5)
    reads: list[int] = []
    hook = model.text.register_forward_hook(lambda *_: reads.append(1))
    try:
        pictures = performer.perform([work("a", 0, prompt="glad")])
        next(pictures)
        assert reads == []
        assert next(pictures, None) is None
        assert reads == [1]
    finally:
        hook.remove()


def test_frames_leave_before_the_state_moves_on(model: Soul) -> None:
    performer = Performer(model, Ticks())
    performer.open("a", portrait(1), "", seed=5)
    pictures = performer.perform([work("a", 0)])
    first = next(pictures)
    assert first.pictures.shape == (4, 64, 64, 3)
    assert not torch.is_inference_mode_enabled()
    assert next(pictures, None) is None
    second = perform(performer, work("a", 1, seed=0))[0]
    assert not np.array_equal(first.pictures, second.pictures)


def test_stage_times_are_by_the_clock_given(model: Soul) -> None:
    performer = Performer(model, Ticks())
    performer.open("a", portrait(1), "", seed=5)
    first = perform(performer, work("a", 0))[0].times
    second = perform(performer, work("a", 1))[0].times
    assert (first.listen, first.denoise, first.decode, first.commit) == (1, 1, 1, 0)
    assert second.commit == 1
    assert second.total == 4


def test_format_and_steps_are_the_models(model: Soul) -> None:
    performer = Performer(model, Ticks())
    assert performer.format.window_samples == SOUL_TEST.window_samples
    assert (performer.format.height, performer.format.width) == (64, 64)
    assert performer.steps == SOUL_TEST.steps


def test_a_model_of_rectangles_and_longer_chunks_is_served_as_well() -> None:
    wide = sample.build(replace(SOUL_TEST, image_size=(32, 64), chunk=2), seed=1)
    performer = Performer(wide, Ticks())
    form = performer.format
    assert (form.height, form.width, form.frames_per_chunk) == (32, 64, 8)
    warm_up(performer)
    performer.open("a", np.zeros((32, 64, 3), np.uint8), "", seed=5)
    heard = np.zeros(form.window_samples, np.float32)
    assert perform(performer, Work("a", 0, heard, 2, 0))[0].pictures.shape == (8, 32, 64, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((64, 32, 3), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
    ],
)
def test_a_wrong_portrait_is_refused(model: Soul, wrong: Pictures) -> None:
    with pytest.raises(ValueError, match=r"\(64, 64, 3\) of uint8 was expected"):
        Performer(model, Ticks()).open("a", wrong, "", seed=0)


def test_batches_that_cannot_be_are_refused(model: Soul) -> None:
    performer = Performer(model, Ticks())
    performer.open("a", portrait(1), "", seed=0)
    performer.open("b", portrait(1), "", seed=0)
    with pytest.raises(ValueError, match="'c' is not open"):
        perform(performer, work("c", 0))
    with pytest.raises(ValueError, match="two chunks of one stream"):
        perform(performer, work("a", 0), work("a", 1))
    with pytest.raises(ValueError, match=r"mixes step counts \[1, 2\]"):
        perform(performer, work("a", 0, steps=1), work("b", 0, steps=2))
    with pytest.raises(ValueError, match="'a' is open already"):
        performer.open("a", portrait(1), "", seed=0)


def test_a_closed_stream_is_gone_and_may_be_opened_anew(model: Soul) -> None:
    performer = Performer(model, Ticks())
    performer.open("a", portrait(1), "", seed=5)
    first = perform(performer, work("a", 0))[0]
    performer.close("a")
    performer.close("a")
    with pytest.raises(ValueError, match="not open"):
        perform(performer, work("a", 1))
    performer.open("a", portrait(1), "", seed=5)
    np.testing.assert_array_equal(perform(performer, work("a", 0))[0].pictures, first.pictures)


def test_warming_up_leaves_no_trace(model: Soul) -> None:
    warm, cold = Performer(model, Ticks()), Performer(model, Ticks())
    warm_up(warm)
    for performer in (warm, cold):
        performer.open("a", portrait(1), "", seed=5)
    with pytest.raises(ValueError, match="not open"):
        perform(warm, work("warm-up", 2))
    np.testing.assert_array_equal(
        perform(warm, work("a", 0))[0].pictures, perform(cold, work("a", 0))[0].pictures
    )


def test_weights_are_loaded_from_a_folder_and_missing_ones_are_named(
    model: Soul, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    try:
        save(model, tmp_path)
        performer = load_performer(str(tmp_path), "cpu", threads=1)
        assert performer.format.height == SOUL_TEST.height
        with pytest.raises(WeightsError, match="no-such-soul"):
            load_performer("no-such-soul", "cpu", threads=1)
    finally:
        torch.set_num_threads(threads)

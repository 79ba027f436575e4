"""The one rollout: streamed equals offline, the future cannot be heard, streams do not mix."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from soul.model.config import SOUL_TEST
from soul.model.sample import (
    Soul,
    StreamState,
    advance,
    build,
    commit,
    cut,
    decode,
    denoise,
    listen,
    open_stream,
    sigmas,
)
from soul.stream.schedule import Schedule
from soul.stream.types import ChunkFormat, Pcm

CHUNK, AHEAD = SOUL_TEST.chunk_samples, SOUL_TEST.audio.lookahead_samples
CHUNKS = 6  # twice the window: the ring wraps
TOLERANCE = 1e-4  # in float32


@dataclass(frozen=True)
class Shown:
    """A rollout of one stream."""

    latents: Tensor  # [chunks, C, h, w]
    pictures: Tensor  # [chunks, 4, H, W, 3] uint8


def voice(seed: int, chunks: int = CHUNKS) -> Tensor:
    """Something that rises and falls, [chunks · 2560 − 700]: the last chunk is not full."""
    draw = torch.Generator().manual_seed(seed)
    length = chunks * CHUNK - 700
    loudness = torch.rand(chunks * 4, generator=draw).repeat_interleave(CHUNK // 4)[:length]
    return torch.randn(length, generator=draw) * loudness * 0.2


def step(model: Soul, states: Sequence[StreamState], pcm: Tensor) -> tuple[Tensor, Tensor]:
    """`advance`, with the latents to look at."""
    audio = listen(model, states, pcm)
    latents = denoise(model, states, audio, model.config.steps)
    pictures = decode(model, states, latents)
    commit(model, states, latents, audio)
    return latents, pictures


def roll(model: Soul, portrait: Tensor, heard: Tensor, seed: int = 5, prompt: str = "x") -> Shown:
    """One stream alone through windows [chunks, window_samples]."""
    state = open_stream(model, portrait, prompt, seed)
    shown = [step(model, [state], window[None]) for window in heard]
    return Shown(torch.cat([z for z, _ in shown]), torch.cat([p for _, p in shown]))


def streamed(pcm: Tensor, pieces: Sequence[int]) -> list[Tensor]:
    """Windows cut as the engine cuts them, sound arriving in `pieces`, silence at the end."""
    audio = SOUL_TEST.audio
    format = ChunkFormat(CHUNK, audio.past_samples, audio.lookahead_samples, 4, 64)
    schedule, found, at = Schedule(format, backlog=2), list[Tensor](), 0
    sound = torch.cat((pcm, torch.zeros(CHUNK + AHEAD))).numpy()
    while len(found) < -(-len(pcm) // CHUNK):
        piece = sound[at : at + pieces[at % len(pieces)]]
        schedule.receive(Pcm(at, piece))
        at += len(piece)
        while schedule.ready > len(found):
            found.append(torch.from_numpy(schedule.window(len(found))))
    return found[: -(-len(pcm) // CHUNK)]


def test_advance_is_its_four_parts(model: Soul, portraits: Tensor) -> None:
    heard = cut(model.config, voice(0))
    state = open_stream(model, portraits[0], "x", 5)
    pictures = torch.cat([advance(model, [state], window[None]) for window in heard])
    assert torch.equal(pictures, roll(model, portraits[0], heard).pictures)
    assert pictures.shape == (CHUNKS, 4, 64, 64, 3)
    assert pictures.dtype == torch.uint8
    assert state.chunk == CHUNKS


def test_sound_moves_the_picture_all_the_time(model: Soul, portraits: Tensor) -> None:
    """Nothing above or below would mean much if the model stood still."""
    shown = roll(model, portraits[0], cut(model.config, voice(0)))
    deaf = roll(model, portraits[0], torch.zeros(CHUNKS, SOUL_TEST.window_samples))
    for n in range(CHUNKS):
        assert not torch.allclose(shown.latents[n], deaf.latents[n], atol=TOLERANCE, rtol=0)
        assert not torch.equal(shown.pictures[n], deaf.pictures[n])


@pytest.mark.parametrize("pieces", [[320], [1, 2560, 333]])
def test_streamed_equals_offline(model: Soul, portraits: Tensor, pieces: list[int]) -> None:
    """Cut piece by piece as a call does, and in a batch whose other streams are elsewhere."""
    pcm = voice(1)
    offline = roll(model, portraits[0], cut(model.config, pcm))
    state = open_stream(model, portraits[0], "x", 5)
    others = [open_stream(model, portraits[1], "another", 6)]
    for n, window in enumerate(streamed(pcm, pieces)):
        noise = torch.randn(len(others), SOUL_TEST.window_samples) * 0.1
        latents, pictures = step(model, [state, *others], torch.cat((window[None], noise)))
        torch.testing.assert_close(latents[0], offline.latents[n], atol=TOLERANCE, rtol=0)
        assert (pictures[0].int() - offline.pictures[n].int()).abs().max() <= 1
        if n == 2:
            others.append(open_stream(model, portraits[2], "", 7))


def test_the_engines_windows_are_those_of_the_recording(model: Soul) -> None:
    pcm = voice(2)
    assert torch.equal(torch.stack(streamed(pcm, [320])), cut(model.config, pcm))


def test_each_stream_of_a_batch_is_as_alone(model: Soul, portraits: Tensor) -> None:
    sounds = [cut(model.config, voice(n)) for n in range(3)]
    states = [open_stream(model, portraits[n], f"prompt {n}", n) for n in range(3)]
    for n in range(CHUNKS):
        latents, _ = step(model, states, torch.stack([s[n] for s in sounds]))
        if n == CHUNKS - 1:
            together = latents
    for n in range(3):
        alone = roll(model, portraits[n], sounds[n], n, f"prompt {n}")
        torch.testing.assert_close(together[n], alone.latents[-1], atol=1e-5, rtol=1e-5)


def test_one_stream_cannot_see_another(model: Soul, portraits: Tensor) -> None:
    """Everything of stream B is exchanged; not a bit of stream A changes."""
    mine = cut(model.config, voice(0))

    def first_of_two(portrait: Tensor, prompt: str, seed: int, sound: Tensor) -> Shown:
        states = [open_stream(model, portraits[0], "x", 5),
                  open_stream(model, portrait, prompt, seed)]  # fmt: skip
        shown = [step(model, states, torch.stack(pair)) for pair in zip(mine, sound, strict=True)]
        return Shown(torch.stack([z[0] for z, _ in shown]), torch.stack([p[0] for _, p in shown]))

    one = first_of_two(portraits[1], "calm", 1, cut(model.config, voice(1)))
    other = first_of_two(portraits[2], "glad", 2, cut(model.config, voice(2) * 9))
    assert torch.equal(one.latents, other.latents)
    assert torch.equal(one.pictures, other.pictures)


@pytest.mark.parametrize("last", range(CHUNKS - 1))
def test_the_future_of_the_sound_cannot_change_the_past_of_the_picture(
    model: Soul, portraits: Tensor, last: int
) -> None:
    """The first sample that chunk `last` may not hear, and all after it, are exchanged."""
    pcm, changed = voice(3), voice(3)
    first = (last + 1) * CHUNK + AHEAD
    changed[first:] = voice(4)[first:] + 0.3
    before = roll(model, portraits[0], cut(model.config, pcm))
    after = roll(model, portraits[0], cut(model.config, changed))
    assert torch.equal(before.latents[: last + 1], after.latents[: last + 1])
    assert torch.equal(before.pictures[: last + 1], after.pictures[: last + 1])
    assert not torch.equal(before.latents[last + 1], after.latents[last + 1])


def test_a_chunk_hears_up_to_its_lookahead(model: Soul, portraits: Tensor) -> None:
    pcm, changed = voice(3), voice(3)
    end = 3 * CHUNK + AHEAD
    changed[end - 100 : end] += 0.5
    before = roll(model, portraits[0], cut(model.config, pcm))
    after = roll(model, portraits[0], cut(model.config, changed))
    assert torch.equal(before.latents[:2], after.latents[:2])
    assert not torch.equal(before.latents[2], after.latents[2])


def test_a_seed_is_one_performance(model: Soul, portraits: Tensor) -> None:
    heard = cut(model.config, voice(0, 2))
    first, again, other = (roll(model, portraits[0], heard, seed) for seed in (1, 1, 2))
    assert torch.equal(first.pictures, again.pictures)
    assert torch.equal(first.latents, again.latents)
    assert not torch.allclose(first.latents, other.latents, atol=0.1)


def test_portrait_and_prompt_matter(model: Soul, portraits: Tensor) -> None:
    heard = cut(model.config, voice(0, 2))
    first = roll(model, portraits[0], heard, prompt="calm")
    assert not torch.equal(first.latents, roll(model, portraits[1], heard, prompt="calm").latents)
    assert not torch.equal(first.latents, roll(model, portraits[0], heard, prompt="glad").latents)


def test_latents_are_pulled_back_before_they_become_context(model: Soul, portraits: Tensor) -> None:
    """τ changes what follows, never the chunk itself, and the share of strays is told."""
    heard, tau = cut(model.config, voice(0, 2)), float(model.codebook.threshold)
    states = []
    rolled = []
    for threshold in (tau, float("inf")):
        model.codebook.threshold.fill_(threshold)
        state = open_stream(model, portraits[0], "x", 5)
        rolled.append([step(model, [state], window[None])[0] for window in heard])
        states.append(state)
    model.codebook.threshold.fill_(tau)
    assert torch.equal(rolled[0][0], rolled[1][0])
    assert not torch.equal(rolled[0][1], rolled[1][1])
    assert 0 < states[0].strays <= 1
    assert states[1].strays == 0


def test_pictures_may_leave_before_the_commit(model: Soul, portraits: Tensor) -> None:
    """Decoding moves the decoder's own memory alone; the window waits for the commit."""
    state = open_stream(model, portraits[0], "x", 5)
    audio = listen(model, [state], torch.zeros(1, SOUL_TEST.window_samples))
    latents = denoise(model, [state], audio, 2)
    keys, memory = state.window.keys.clone(), state.decoder
    decode(model, [state], latents)
    assert state.chunk == 0
    assert torch.equal(state.window.keys, keys)
    assert not torch.equal(state.decoder, memory)
    commit(model, [state], latents, audio)
    assert state.chunk == 1
    assert not torch.equal(state.window.keys, keys)


def test_a_stream_does_not_grow(model: Soul, portraits: Tensor) -> None:
    state = open_stream(model, portraits[0], "x", 5)

    def numbers() -> int:
        window, reference = state.window, state.reference
        held = (window.keys, window.values, window.sink_keys, window.sink_values, state.decoder,
                state.words, reference.picture, reference.fine, reference.coarse)  # fmt: skip
        return sum(t.untyped_storage().nbytes() for t in held)

    sizes = []
    for _ in range(8):
        advance(model, [state], torch.zeros(1, SOUL_TEST.window_samples), steps=1)
        sizes.append(numbers())
    assert len(set(sizes[1:])) == 1


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_any_number_of_steps_runs(model: Soul, portraits: Tensor, steps: int) -> None:
    state = open_stream(model, portraits[0], "x", 5)
    silence = torch.zeros(1, SOUL_TEST.window_samples)
    assert advance(model, [state], silence, steps).shape == (1, 4, 64, 64, 3)


def test_noise_levels_are_shifted_as_wan_shifts_them() -> None:
    assert sigmas(2, 3.0) == [1.0, 0.75, 0.0]
    assert sigmas(1, 5.0) == [1.0, 0.0]
    assert sigmas(4, 1.0) == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_portrait_of_the_wrong_size_is_named(model: Soul) -> None:
    with pytest.raises(ValueError, match=r"\(3, 32, 64\), expected \(3, 64, 64\)"):
        open_stream(model, torch.zeros(3, 32, 64), "x", 0)


def test_a_window_of_the_wrong_length_is_named(model: Soul) -> None:
    with pytest.raises(ValueError, match="8400 samples, got 8399"):
        listen(model, [], torch.zeros(1, 8399))


def test_building_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    build(SOUL_TEST, 0)
    assert torch.equal(torch.rand(1), wanted)

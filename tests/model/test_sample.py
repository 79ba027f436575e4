"""The one rollout: streamed equals offline, the future cannot be heard, streams do not mix."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from soul.model.config import SOUL_TEST
from soul.model.sample import (
    BLEND_CHUNKS,
    TIMESTEPS,
    Soul,
    StreamState,
    advance,
    build,
    commit,
    cut,
    decode,
    denoise,
    draw_noise,
    listen,
    open_stream,
    set_prompt,
    sigmas,
    window_at,
    write_sink,
)
from soul.model.window import Window, empty_window
from soul.stream.schedule import Schedule
from soul.stream.types import ChunkFormat, Pcm

CHUNK, AHEAD = SOUL_TEST.chunk_samples, SOUL_TEST.audio.lookahead_samples
CHUNKS = 6  # twice the window: the ring wraps
TOLERANCE = 1e-4  # in float32


@dataclass(frozen=True)
class Shown:
    """A rollout of one stream."""

    latents: Tensor  # [chunks, C, n, h, w]
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


def roll(
    model: Soul,
    portrait: Tensor,
    heard: Tensor,
    seed: int = 5,
    prompt: str = "x",
    later: Mapping[int, str] | None = None,
) -> Shown:
    """One stream alone through windows [chunks, window_samples]; `later` prompts by chunk."""
    state = open_stream(model, portrait, prompt, seed)
    shown = []
    for n, window in enumerate(heard):
        if n in (later or {}):
            set_prompt(model, state, (later or {})[n])
        shown.append(step(model, [state], window[None]))
    return Shown(torch.cat([z for z, _ in shown]), torch.cat([p for _, p in shown]))


def streamed(pcm: Tensor, pieces: Sequence[int]) -> list[Tensor]:
    """Windows cut as the engine cuts them, sound arriving in `pieces`, silence at the end."""
    audio = SOUL_TEST.audio
    format = ChunkFormat(CHUNK, audio.past_samples, audio.lookahead_samples, 4, 64, 64)
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


@pytest.mark.parametrize("chunk", range(CHUNKS - 1))
def test_a_new_prompt_is_followed_from_the_next_chunk_on(
    model: Soul, portraits: Tensor, chunk: int
) -> None:
    heard = cut(model.config, voice(0))
    same = roll(model, portraits[0], heard, prompt="calm")
    told = roll(model, portraits[0], heard, prompt="calm", later={chunk: "glad"})
    assert torch.equal(told.latents[: chunk + 1], same.latents[: chunk + 1])
    assert torch.equal(told.pictures[: chunk + 1], same.pictures[: chunk + 1])
    for n in range(chunk + 1, CHUNKS):
        assert not torch.allclose(told.latents[n], same.latents[n], atol=1e-6, rtol=0)


def test_prompts_streamed_equal_prompts_offline(model: Soul, portraits: Tensor) -> None:
    """In a batch whose other stream is told something else, partly at the same time."""
    pcm, later = voice(1), {0: "glad", 2: "sad"}
    offline = roll(model, portraits[0], cut(model.config, pcm), prompt="calm", later=later)
    state = open_stream(model, portraits[0], "calm", 5)
    other = open_stream(model, portraits[1], "another", 6)
    for n, window in enumerate(streamed(pcm, [320])):
        if n in later:
            set_prompt(model, state, later[n])
        if n == 1:
            set_prompt(model, other, "one more")
        latents, _ = step(model, [state, other], torch.stack((window, window * 0.5)))
        torch.testing.assert_close(latents[0], offline.latents[n], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("again", ["x", "X!"])
def test_the_prompt_that_holds_told_again_changes_not_a_bit(
    model: Soul, portraits: Tensor, again: str
) -> None:
    heard = cut(model.config, voice(0))
    told = roll(model, portraits[0], heard, later={0: again, 3: again})
    same = roll(model, portraits[0], heard)
    assert torch.equal(told.latents, same.latents)
    assert torch.equal(told.pictures, same.pictures)


def test_the_prompt_being_moved_to_told_again_does_not_begin_anew(
    model: Soul, portraits: Tensor
) -> None:
    heard = cut(model.config, voice(0))
    once = roll(model, portraits[0], heard, later={0: "glad"})
    twice = roll(model, portraits[0], heard, later={0: "glad", 1: "glad", 2: "glad"})
    assert torch.equal(once.latents, twice.latents)


def test_of_prompts_before_one_chunk_the_newest_wins(model: Soul, portraits: Tensor) -> None:
    states = [open_stream(model, portraits[0], "calm", 5) for _ in range(2)]
    for prompt in ("glad", "angry", "calm", "sad"):
        set_prompt(model, states[0], prompt)
    set_prompt(model, states[1], "sad")
    for window in cut(model.config, voice(0)):
        one, other = (step(model, [state], window[None])[0] for state in states)
        assert torch.equal(one, other)


def test_another_streams_prompt_changes_not_a_bit_of_mine(model: Soul, portraits: Tensor) -> None:
    mine, theirs = cut(model.config, voice(0)), cut(model.config, voice(1))

    def first_of_two(told: bool) -> Tensor:
        states = [open_stream(model, portraits[n], "x", n) for n in range(2)]
        latents = []
        for n, pair in enumerate(zip(mine, theirs, strict=True)):
            if told and n == 1:
                set_prompt(model, states[1], "glad")
            latents.append(step(model, states, torch.stack(pair))[0][0])
        return torch.stack(latents)

    assert torch.equal(first_of_two(told=True), first_of_two(told=False))


def sink_of(model: Soul, state: StreamState) -> Window:
    """A window with the sink that the words in force give."""
    window = empty_window(model.config, model.device, torch.float32)
    write_sink(model, [window], state.pivotal, state.words[None])
    return window


def test_words_move_in_equal_steps_and_the_sink_with_them(model: Soul, portraits: Tensor) -> None:
    state = open_stream(model, portraits[0], "calm", 5)
    old, new = model.words(["calm", "glad"])
    first = state.window.sink_values
    set_prompt(model, state, "glad")
    assert torch.equal(state.words, old), "a chunk at work is not disturbed"
    for done in range(1, BLEND_CHUNKS + 1):
        advance(model, [state], torch.zeros(1, SOUL_TEST.window_samples), steps=1)
        expected = old + (new - old) * done / BLEND_CHUNKS
        torch.testing.assert_close(state.words, expected, atol=1e-6, rtol=0)
        wanted = sink_of(model, state)
        assert torch.equal(state.window.sink_keys, wanted.sink_keys)
        assert torch.equal(state.window.sink_values, wanted.sink_values)
    assert torch.equal(state.words, new)
    assert not torch.allclose(first, state.window.sink_values, atol=1e-4)
    advance(model, [state], torch.zeros(1, SOUL_TEST.window_samples), steps=1)
    assert torch.equal(state.words, new)


def test_a_prompt_on_the_way_to_another_goes_on_from_there(model: Soul, portraits: Tensor) -> None:
    """No step is longer than the way from one prompt to another, divided by the steps."""
    state = open_stream(model, portraits[0], "calm", 5)
    calm, glad, sad = model.words(["calm", "glad", "sad"])
    longest = max(float((a - b).abs().max()) for a, b in ((calm, glad), (glad, sad), (sad, calm)))
    for prompt in ("glad", "sad", "calm", None, None, None):
        if prompt is not None:
            set_prompt(model, state, prompt)
        before = state.words
        advance(model, [state], torch.zeros(1, SOUL_TEST.window_samples), steps=1)
        assert (state.words - before).abs().max() <= longest / BLEND_CHUNKS + 1e-6
    assert torch.equal(state.words, calm)


def test_after_blend_and_window_nothing_of_the_old_words_is_left(
    model: Soul, portraits: Tensor
) -> None:
    """Beside latents and bearing, which are the same here. A layer's keys and values know of the
    words through the layers before it, so each of those takes a window to forget."""
    assert SOUL_TEST.dit.layers == 2
    chunks = BLEND_CHUNKS + SOUL_TEST.window
    draw = torch.Generator().manual_seed(4)
    shape = (chunks, 1, SOUL_TEST.vae.channels, 1, *SOUL_TEST.cells)
    latents = torch.randn(shape, generator=draw)
    born, told = (open_stream(model, portraits[0], prompt, 5) for prompt in ("glad", "calm"))
    set_prompt(model, told, "glad")
    told.bearing = deepcopy(born.bearing)
    for n in range(chunks):
        assert not torch.equal(told.window.values, born.window.values) or n == 0
        for state in (born, told):
            audio = listen(model, [state], torch.zeros(1, SOUL_TEST.window_samples))
            commit(model, [state], latents[n], audio)
    old, new = told.window, born.window
    torch.testing.assert_close(old.keys, new.keys, atol=1e-6, rtol=0)
    torch.testing.assert_close(old.values, new.values, atol=1e-6, rtol=0)
    torch.testing.assert_close(old.sink_keys, new.sink_keys, atol=1e-6, rtol=0)
    torch.testing.assert_close(old.sink_values, new.sink_values, atol=1e-6, rtol=0)
    assert torch.equal(told.words, born.words)


def test_sinks_written_together_do_not_keep_each_other(model: Soul, portraits: Tensor) -> None:
    states = [open_stream(model, portraits[n], "calm", n) for n in range(2)]
    alone = states[0].window.sink_keys.untyped_storage().nbytes()
    for state in states:
        set_prompt(model, state, "glad")
    advance(model, states, torch.zeros(2, SOUL_TEST.window_samples), steps=1)
    assert states[0].window.sink_keys.untyped_storage().nbytes() == alone


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
    keys, memory = state.window.keys.clone(), state.painting.memory
    decode(model, [state], latents)
    assert state.chunk == 0
    assert torch.equal(state.window.keys, keys)
    assert not torch.equal(state.painting.memory, memory)
    commit(model, [state], latents, audio)
    assert state.chunk == 1
    assert not torch.equal(state.window.keys, keys)


def test_a_stream_does_not_grow(model: Soul, portraits: Tensor) -> None:
    state = open_stream(model, portraits[0], "x", 5)

    def numbers() -> int:
        window, reference = state.window, state.painting.reference
        memory = state.painting.memory
        held = (window.keys, window.values, window.sink_keys, window.sink_values, memory,
                state.words, state.pivotal,
                reference.picture, reference.fine, reference.coarse)  # fmt: skip
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


# Chunks of several latents, rectangles, clips.


def like(model: Soul, **changes: Any) -> Soul:
    """The same weights in another configuration; none of these changes a weight's shape."""
    other = build(replace(model.config, **changes), 0)
    other.load_state_dict(model.state_dict())
    return other.requires_grad_(False)


@pytest.mark.parametrize("chunk", [1, 2])
def test_pictures_may_be_rectangles(model: Soul, chunk: int) -> None:
    wide = like(model, image_size=(32, 96), chunk=chunk)
    state = open_stream(wide, torch.zeros(3, 32, 96), "x", 0)
    for _ in range(3):
        pictures = advance(wide, [state], torch.zeros(1, wide.config.window_samples), steps=1)
        assert pictures.shape == (1, 4 * chunk, 32, 96, 3)


@pytest.mark.parametrize("changes", [{}, {"window": 0, "overlap": 1, "chunk": 2}])
def test_the_transformer_may_compute_in_bfloat16(
    model: Soul, portraits: Tensor, changes: dict[str, Any]
) -> None:
    """Latents, their noise and the steps between them stay in float32."""
    whole, half = like(model, **changes), like(model, **changes)
    half.dit.to(torch.bfloat16)
    heard = cut(whole.config, voice(0, 4))
    wanted, found = (roll(m, portraits[0], heard).latents for m in (whole, half))
    assert found.dtype == torch.float32
    assert torch.linalg.vector_norm(found - wanted) < 0.05 * torch.linalg.vector_norm(wanted)
    assert not torch.equal(found, wanted)


def test_each_latent_of_a_chunk_hears_what_it_would_hear_alone(
    model: Soul, portraits: Tensor
) -> None:
    """Its sound, and its own four frames of blinking and glancing."""
    three, pcm = like(model, chunk=3), voice(0)
    states = [open_stream(m, portraits[0], "x", 5) for m in (three, model)]
    together = torch.cat([listen(three, states[:1], w[None]) for w in cut(three.config, pcm)], 1)
    alone = torch.cat([listen(model, states[1:], w[None]) for w in cut(model.config, pcm)], 1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_chunks_latents_are_decoded_one_after_the_other(model: Soul, portraits: Tensor) -> None:
    latents = torch.randn(1, 48, 3, 4, 4)
    one, other = (open_stream(model, portraits[0], "x", 5) for _ in range(2))
    pictures = decode(model, [one], latents)
    each = [decode(model, [other], latent) for latent in latents.split(1, 2)]
    assert torch.equal(pictures, torch.cat(each, 1))
    assert torch.equal(one.painting.memory, other.painting.memory)


def test_a_chunk_of_several_latents_fills_as_many_slots(model: Soul, portraits: Tensor) -> None:
    two = like(model, chunk=2)
    state = open_stream(two, portraits[0], "x", 5)
    for n in range(1, 4):
        advance(two, [state], torch.zeros(1, two.config.window_samples), steps=1)
        assert state.chunk == n
        assert state.window.written == 2 * n


CLIPS: dict[str, Any] = {"window": 0, "overlap": 2, "chunk": 4}


def by_hand(model: Soul, clean: Tensor, noise: Tensor, words: Tensor, audio: Tensor) -> Tensor:
    """A clip without the rollout: what is given stands first, at timestep 0, in every pass."""
    given, latent = clean.shape[2], noise
    for level, following in pairwise(sigmas(model.config.steps, model.config.shift)):
        times = torch.tensor([[0.0] * given + [level * TIMESTEPS] * noise.shape[2]])
        flow = model.dit(torch.cat((clean, latent), 2), times, words, audio, None).flow
        latent = latent + (following - level) * flow[:, :, given:]
    return latent


def test_a_clip_begins_with_the_pivotal_latent_and_the_end_of_the_last(
    model: Soul, portraits: Tensor
) -> None:
    clips = like(model, **CLIPS)
    state, twin = (open_stream(clips, portraits[0], "x", 5) for _ in range(2))
    clean, sounds = state.pivotal.unsqueeze(2), list[Tensor]()
    for window in cut(clips.config, voice(0, 12)):
        audio = listen(clips, [state], window[None])
        sounds.append(audio)
        latents = denoise(clips, [state], audio, clips.config.steps)
        heard = torch.cat([s[:, 2:] for s in sounds[-2:-1]] + [audio], 1)
        wanted = by_hand(clips, clean, draw_noise(clips, twin), state.words[None], heard)
        torch.testing.assert_close(latents, wanted, atol=1e-5, rtol=1e-5)
        assert decode(clips, [state], latents).shape == (1, 16, 64, 64, 3)
        commit(clips, [state], latents, audio)
        end = clips.codebook(latents)[0][:, :, 2:]
        assert not torch.equal(end, latents[:, :, 2:]), "τ bites"
        clean = torch.cat((state.pivotal.unsqueeze(2), end), 2)
    assert state.chunk == 3


def test_clips_keep_latents_and_no_keys(model: Soul, portraits: Tensor) -> None:
    clips = like(model, **CLIPS)
    state = open_stream(clips, portraits[0], "calm", 5)
    set_prompt(clips, state, "glad")
    advance(clips, [state], torch.zeros(1, clips.config.window_samples), steps=1)
    window = state.window
    assert {t.numel() for t in (window.keys, window.values, window.sink_keys)} == {0}
    assert state.tail is not None
    assert state.tail.latents.shape == (1, 48, 2, 4, 4)
    assert not torch.equal(state.words, clips.words(["calm"])[0]), "words move from clip to clip"


def test_clips_of_a_batch_are_each_as_alone(model: Soul, portraits: Tensor) -> None:
    clips = like(model, **CLIPS)
    heard = torch.stack([cut(clips.config, voice(n, 8)) for n in range(2)], 1)
    states = [open_stream(clips, portraits[n], "x", n) for n in range(2)]
    together = [step(clips, states, windows)[0] for windows in heard]
    alone = roll(clips, portraits[1], heard[:, 1], seed=1)
    torch.testing.assert_close(together[1][1], alone.latents[1], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="mixes first clips with later ones"):
        step(clips, [states[0], open_stream(clips, portraits[1], "x", 1)], heard[0])


def test_noise_levels_are_shifted_as_wan_shifts_them() -> None:
    assert sigmas(2, 3.0) == [1.0, 0.75, 0.0]
    assert sigmas(1, 5.0) == [1.0, 0.0]
    assert sigmas(4, 1.0) == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_portrait_of_the_wrong_size_is_named(model: Soul) -> None:
    with pytest.raises(ValueError, match=r"\(3, 32, 64\), expected \(3, 64, 64\)"):
        open_stream(model, torch.zeros(3, 32, 64), "x", 0)


def test_a_window_of_the_wrong_length_is_named(model: Soul) -> None:
    with pytest.raises(ValueError, match="11600 samples, got 8399"):
        listen(model, [], torch.zeros(1, 8399))


def test_building_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    build(SOUL_TEST, 0)
    assert torch.equal(torch.rand(1), wanted)


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_chunks_window_can_be_cut_alone(chunk: int) -> None:
    config, pcm = replace(SOUL_TEST, chunk=chunk), voice(3, 7)
    windows = cut(config, pcm)
    for n, window in enumerate(windows):
        assert torch.equal(window_at(config, pcm, n), window)
    assert not window_at(config, pcm, len(windows) + 5).any()


def test_at_24_pictures_a_second_windows_begin_with_their_latents() -> None:
    """A latent lasts 2,666 2/3 samples, and its window ends where whole mel hops do."""
    config = replace(SOUL_TEST, chunk=2, fps=24)
    assert [config.begin(n) for n in range(4)] == [0, 2666, 5333, 8000]
    own = 18 * 160  # 16 2/3 hops, in pairs
    assert config.latent_samples == config.audio.past_samples + own + AHEAD
    assert config.window_samples == config.latent_samples + 2666
    pcm, past = torch.arange(1.0, 40_000.0), config.audio.past_samples
    assert float(window_at(config, pcm, 0)[past]) == 1
    assert float(window_at(config, pcm, 3)[past]) == 1 + 16_000

"""The ring: integer slots, constant shapes, and the very last latents, whatever their number."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soul.model.config import SOUL_TEST, SoulConfig
from soul.model.rope import rotate, rotation
from soul.model.window import Window, empty_window, gather

DIT = SOUL_TEST.dit
ONE = (DIT.layers, DIT.heads, SOUL_TEST.tokens, DIT.head_dim)


def config(slots: int) -> SoulConfig:
    return replace(SOUL_TEST, window=slots, sink_distance=slots + 1)


def empty(slots: int = 3) -> Window:
    return empty_window(config(slots), torch.device("cpu"), torch.float32)


def write(window: Window, number: int) -> None:
    """Latent `number`: keys hold the number, values its negative."""
    window.write(torch.full(ONE, float(number)), torch.full(ONE, -float(number)))


@given(st.integers(1, 6), st.integers(0, 25))
def test_the_ring_holds_the_last_latents_of_an_endless_list(slots: int, count: int) -> None:
    window, everything = empty(slots), list[int]()
    for number in range(100, 100 + count):
        assert window.slot == len(everything) % slots
        write(window, number)
        everything.append(number)
    held = {int(window.keys[0, i, 0, 0, 0]) for i in range(window.filled)}
    assert held == set(everything[-slots:])
    assert window.filled == min(count, slots)
    assert window.written == count
    torch.testing.assert_close(window.values, -window.keys)


@given(st.integers(1, 6), st.integers(0, 25))
def test_shapes_never_change(slots: int, count: int) -> None:
    window = empty(slots)
    sizes = config(slots)
    before, storage = gather([window], sizes), window.keys.data_ptr()
    for number in range(count):
        write(window, number)
    after = gather([window], sizes)
    assert window.keys.data_ptr() == storage
    assert [t.shape for t in (after.keys, after.values, after.turn, after.visible)] == [
        t.shape for t in (before.keys, before.values, before.turn, before.visible)
    ]


@given(st.integers(1, 6), st.integers(0, 25))
def test_what_is_not_filled_is_not_seen(slots: int, count: int) -> None:
    window = empty(slots)
    for number in range(count):
        write(window, number)
    context, tokens = gather([window], config(slots)), SOUL_TEST.tokens
    seen = context.visible[0, 0, 0].view(slots + 2, tokens)
    assert (seen == seen[:, :1]).all()  # whole latents
    filled = min(count, slots)
    assert seen[:, 0].tolist() == [True] + [True] * filled + [False] * (slots - filled) + [True]


def test_each_latent_goes_where_the_oldest_was() -> None:
    window = empty(3)
    for number in range(5):
        write(window, number)
    assert window.keys[0, :, 0, 0, 0].tolist() == [3, 4, 2]
    assert window.slot == 2


def test_the_sink_never_leaves() -> None:
    window = empty()
    window.sink_keys, window.sink_values = torch.full(ONE, 7.0), torch.full(ONE, 8.0)
    for number in range(50):
        write(window, number)
    context = gather([window], config(3))
    behind = rotation(torch.tensor([50 - 4]), 2, 2, DIT.head_dim)
    turned = rotate(window.sink_keys, behind)
    assert torch.equal(context.keys[:, 0, :, : SOUL_TEST.tokens], turned)
    assert (context.values[:, 0, :, : SOUL_TEST.tokens] == 8).all()


def test_a_slot_comes_back_as_one_run_of_tokens() -> None:
    window = empty()
    drawn = torch.randn(3, *ONE)
    for latent in drawn:
        window.write(latent, -latent)
    context = gather([window], config(3))
    for slot in range(3):
        tokens = slice((slot + 1) * SOUL_TEST.tokens, (slot + 2) * SOUL_TEST.tokens)
        assert torch.equal(context.keys[:, 0, :, tokens], drawn[slot])
        assert torch.equal(context.values[:, 0, :, tokens], -drawn[slot])


@pytest.mark.parametrize("counts", [(0, 4), (2, 1), (9, 9)])
def test_streams_side_by_side_are_each_as_alone(counts: tuple[int, int]) -> None:
    windows = [empty(), empty()]
    for window, count in zip(windows, counts, strict=True):
        for number in range(count):
            write(window, number + 10 * count)
    both = gather(windows, config(3))
    now = rotation(torch.tensor(counts), 2, 2, DIT.head_dim)
    assert torch.equal(both.turn, now)
    for i, window in enumerate(windows):
        alone = gather([window], config(3))
        assert torch.equal(both.keys[:, i : i + 1], alone.keys)
        assert torch.equal(both.values[:, i : i + 1], alone.values)
        assert torch.equal(both.visible[i : i + 1], alone.visible)


def test_positions_are_whole_numbers_without_end() -> None:
    """The two latents differ by one position, which float32 could not tell apart."""
    turns = []
    for written in (10_000_000_019, 10_000_000_020):
        window = empty()
        window.written = written
        turns.append(gather([window], config(3)).turn)
    now = rotation(torch.tensor([10_000_000_019]), 2, 2, DIT.head_dim)
    assert torch.equal(turns[0], now)
    assert not torch.allclose(turns[0], turns[1], atol=1e-2)

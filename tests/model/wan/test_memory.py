"""Memory told beforehand: the meter counts what lives, and `meta` agrees with what is allocated."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import made_actor as made
from soul.model.config import SoulConfig
from soul.model.load import WeightsError
from soul.model.wan import memory
from soul.model.wan.actor import WanSoul
from soul.model.wan.codec import FullCodec
from soul.model.wan.memory import (
    Fused,
    Meter,
    check_room,
    free_on,
    metered,
    needs,
    one_tile,
    passes,
)
from soul.model.wan.tiles import TiledVae, Tiling

KILO = 1000


def really(run: Callable[[], object]) -> int:
    """The most bytes that torch's allocator gave out at once, by torch's own profiler."""
    with torch.profiler.profile(profile_memory=True) as profile:
        run()
    events = profile.profiler.kineto_results.events()
    moved = [e for e in events if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(moved, key=lambda e: int(e.start_ns())):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def test_the_meter_counts_what_lives_once() -> None:
    before = torch.zeros(KILO)
    with Meter() as meter:
        first = torch.ones(KILO)  # 4 KB
        view, same = first[10:], before.view(10, -1)
        first.add_(view.sum())
        assert meter.held == 4 * KILO + 4 or meter.held == 4 * KILO
        second = first + same.flatten()
        assert meter.peak >= 8 * KILO
        del first, view
        assert meter.held < 8 * KILO
    assert meter.peak < 9 * KILO
    assert second.shape == (KILO,)


def test_fused_attention_keeps_no_scores() -> None:
    q, v = torch.zeros(1, 2, 5000, 4, device="meta"), torch.zeros(1, 2, 5000, 8, device="meta")

    def attend() -> None:
        assert torch.nn.functional.scaled_dot_product_attention(q, q, v).shape == v.shape

    with Fused():
        assert metered(attend) == v.nbytes


@pytest.mark.parametrize("config", [made.CLIPS, made.STREAM], ids=["clip", "stream"])
def test_passes_take_what_was_told(config: SoulConfig) -> None:
    """Larger pictures than elsewhere: beside them small tensors and scratch count for nothing.

    On one thread: each has scratch of its own, 70 kB here, which is the CPU's and no model's.
    """
    config = replace(config, image_size=(256, 384))
    told, model = made.actor(config, device="meta"), made.actor(config)
    with Fused(), torch.no_grad():
        foreseen, counted = passes(told), passes(model)
    assert foreseen == counted, "the same operations, with and without numbers"
    found: list[int] = []

    def measured(run: Callable[[], object]) -> int:
        found.append(really(run))
        return found[-1]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as patched, torch.no_grad():
            patched.setattr(memory, "metered", measured)
            passes(model)
    finally:
        torch.set_num_threads(threads)
    assert found == pytest.approx(foreseen, rel=0.1)


def test_needs_name_every_part() -> None:
    told, model = made.actor(device="meta"), made.actor()
    found = needs(told, text=11)
    weights = sum(p.nbytes for p in model.dit.parameters())
    assert found.transformer == weights
    assert found.codec == sum(t.nbytes for t in model.inner_vae.state_dict().values()) + 2 * 4 * 48
    assert found.text == 11
    assert found.stream > 0
    parts = found.transformer + found.codec + found.ear + found.stream + found.working
    assert found.total == int(parts * 1.1)
    assert needs(made.actor(replace(made.CLIPS, image_size=(128, 96)), "meta")).total > found.total


def test_a_stream_holds_its_keys() -> None:
    """2 layers · (2 + 1) latents · 6 tokens · 48 numbers, keys and values."""
    keys = 2 * 3 * 6 * 48 * 2 * 4
    clip, stream = (needs(made.actor(c, "meta")).stream for c in (made.CLIPS, made.STREAM))
    assert stream - clip == keys


def test_tiles_hold_one_tile_at_a_time() -> None:
    """What the others remember lies in the CPU's memory."""
    config = replace(made.CLIPS, image_size=(1024, 1024))
    whole = made.actor(config, "meta")
    tiled = one_tile(whole)
    assert tiled is whole
    tiles = TiledVae(whole.inner_vae, Tiling(32, 8))
    parts = whole.dit, tiles, FullCodec(tiles), whole.ear, whole.scribe, whole.codebook
    tiled = WanSoul(config, *parts)
    assert (one_tile(tiled).config.height, one_tile(tiled).config.width) == (512, 512)
    least, most = needs(tiled), needs(whole)
    assert least.stream * 4 == most.stream
    assert least.transformer == most.transformer
    small = made.actor(replace(made.CLIPS, image_size=(512, 512)), "meta")
    assert least.stream == needs(small).stream


def test_too_little_memory_is_one_sentence() -> None:
    check_room(5, 5, "it", "on cpu")
    with pytest.raises(WeightsError, match=r"soul needs 20\.0 GB \(on cpu\) and 8\.0 GB are free"):
        check_room(20_000_000_000, 8_000_000_000, "soul", "on cpu")
    assert free_on(torch.device("cpu")) > 0

"""Waiting for a sender: order, room for a few, and an end."""

import asyncio

import numpy as np
import pytest

from soul.media.outbox import MAX_WAITING, Outbox

ITEM = np.zeros(1, np.float32)


class Over(Exception):
    """The outbox was closed."""


async def test_the_oldest_comes_first_and_gives_way_first() -> None:
    box = Outbox(Over)
    for pts in range(MAX_WAITING + 2):
        box.put(pts, ITEM)
    assert box.dropped == 2
    assert [(await box.get())[0] for _ in range(MAX_WAITING)] == [2, 3, 4]


async def test_who_waits_gets_what_comes() -> None:
    box = Outbox(Over)
    waiting = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    box.put(7, ITEM)
    assert (await waiting)[0] == 7


async def test_closing_ends_the_wait_and_forgets_what_is_left() -> None:
    box = Outbox(Over)
    waiting = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    box.close()
    with pytest.raises(Over):
        await waiting
    box.put(1, ITEM)
    with pytest.raises(Over):
        await box.get()

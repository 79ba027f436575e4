"""The whole way with two aiortc peers: offer in, answer out, sound in, sound and pictures out."""

import time
from typing import Any

from soul.session.session import Session, SessionConfig


async def test_sound_in_gives_sound_and_pictures_out(
    worker: Any, viewer: Any, portrait: Any, wait_until: Any
) -> None:
    session = Session("one", worker, SessionConfig(), time.monotonic_ns)
    try:
        await viewer.accept(await session.start(await viewer.offer(), portrait, ""))
        await wait_until(lambda: len(viewer.pictures) > 60 and len(viewer.messages) > 1)
        lights = {round(light / 40) for _, _, light in viewer.pictures}
        assert len(lights) >= 2  # dark in silence, bright with the beep
        assert max(loud for _, _, loud in viewer.sound) > 0.2
        assert min(loud for _, _, loud in viewer.sound[10:]) < 0.01
    finally:
        await session.close("the test is over")
    assert not worker.open

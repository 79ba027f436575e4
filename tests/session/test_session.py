"""The whole way with two aiortc peers: offer in, answer out, sound in, sound and pictures out."""

import asyncio
import gc
import itertools
import json
import os
import statistics
import threading
import time
import weakref
from typing import Any

import pytest
from aiortc.rtp import RtcpSrPacket, RtpPacket
from av.video.codeccontext import VideoCodecContext

from soul.media.codecs import OpusDecoder, OpusEncoder, Vp8Encoder
from soul.media.ingest import Ingest
from soul.media.tracks import OfferError, Peer
from soul.session.session import Session, SessionConfig, SessionError
from soul.stream.worker import WorkerError
from soul.timebase import NANOSECONDS

CONFIG = SessionConfig()


@pytest.mark.parametrize("delay_ms", [200, 300, 400, 600, 800])
def test_whatever_the_delay_a_chunk_is_given_up_when_the_longest_could_not_show_it(
    worker: Any, delay_ms: int
) -> None:
    budget, grace = CONFIG.allowance(worker.format, delay_ms * 16)
    assert budget >= 160_000_000
    assert budget + grace == (CONFIG.max_delay_ms * 16 - 2560 - 520) * NANOSECONDS // 16_000


class Room:
    """One session with its viewer; `closed` collects what `on_closed` was told."""

    def __init__(self, worker: Any, viewer: Any, portrait: Any) -> None:
        self.closed: list[tuple[str, bool]] = []
        self.ahead = 0  # nanoseconds by which the session's clock runs ahead of the real one
        self.viewer = viewer
        self._portrait = portrait
        self.session = Session("one", worker, CONFIG, self._clock, self._tell)

    def _tell(self, reason: str, broken: bool) -> None:
        self.closed.append((reason, broken))

    def _clock(self) -> int:
        return time.monotonic_ns() + self.ahead

    async def connect(self) -> None:
        await self.viewer.accept(await self.start())

    async def start(self) -> str:
        return await self.session.start(await self.viewer.offer(), self._portrait, "calm")

    def say(self, text: str) -> None:
        self.viewer.channel.send(text)

    def heard(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.viewer.messages if message["type"] == kind]


@pytest.fixture
async def room(worker: Any, viewer: Any, portrait: Any) -> Any:
    one = Room(worker, viewer, portrait)
    yield one
    await one.session.close("the test is over")
    assert not worker.open


async def test_sound_in_gives_sound_and_pictures_out(room: Any, wait_until: Any) -> None:
    await room.connect()
    pictures, sound = room.viewer.pictures, room.viewer.sound
    await wait_until(lambda: any(seen.light > 180 for seen in pictures))  # the beep
    await wait_until(lambda: any(seen.light < 80 for seen in pictures[10:]))  # the pause
    await wait_until(lambda: any(heard.loudness > 0.2 for heard in sound))
    await wait_until(lambda: any(heard.loudness < 0.01 for heard in sound[10:]))
    await wait_until(lambda: len(room.heard("stats")) > 1)
    stats = room.heard("stats")[-1]
    assert stats["state"] == "connected"
    assert stats["frames_shown"] > 0
    assert stats["denoise_ms"] == pytest.approx(6)
    assert stats["delay_p95_ms"] >= stats["delay_p50_ms"] > 192
    assert json.dumps(room.session.stats().to_json())


class Reports:
    """Of one of the viewer's receivers: first RTP timestamp, and the newest sender report."""

    def __init__(self, receiver: Any) -> None:
        self.first: int | None = None
        self.report: tuple[float, int] | None = None
        self._receiver = receiver
        self._rtp, self._rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet
        vars(receiver).update(_handle_rtp_packet=self._packet, _handle_rtcp_packet=self._control)

    async def _packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        if self.first is None:
            self.first = packet.timestamp
        await self._rtp(packet, arrival_time_ms=arrival_time_ms)

    async def _control(self, packet: Any) -> None:
        if isinstance(packet, RtcpSrPacket) and packet.sender_info.packet_count:
            info = packet.sender_info
            self.report = (info.ntp_timestamp / 2**32, info.rtp_timestamp)
        await self._rtcp(packet)

    def moment(self, pts: int, rate: int) -> float:
        """The sender's time (seconds) of what the receiver calls `pts`."""
        assert self.first is not None
        assert self.report is not None
        ntp, timestamp = self.report
        ticks = (self.first + pts - timestamp + 2**31) % 2**32 - 2**31
        return ntp + ticks / rate


async def test_flash_and_beep_are_one_moment_by_the_sender_reports(
    room: Any, wait_until: Any
) -> None:
    viewer = room.viewer
    answer = await room.start()
    sound, pictures = (Reports(r) for r in viewer.connection.getReceivers())
    await viewer.accept(answer)

    def late() -> list[float]:
        """Seconds by which each recorded beep follows its flash."""
        if not (sound.report and pictures.report):
            return []
        sounds, lights = (itertools.pairwise(kept) for kept in (viewer.sound, viewer.pictures))
        beeps = [b.pts for a, b in sounds if a.loudness < 0.05 < b.loudness]
        flashes = [b.pts for a, b in lights if a.light < 120 < b.light]
        heard = [sound.moment(pts, 48_000) for pts in beeps]
        seen = [pictures.moment(pts, 90_000) for pts in flashes]
        nearest = [min((beep - flash for beep in heard), key=abs) for flash in seen if heard]
        return [difference for difference in nearest if abs(difference) < 0.4]

    await wait_until(lambda: len(late()) >= 3)
    assert -0.025 <= statistics.median(late()) <= 0.065  # a frame, a packet, Opus' 6.5 ms


async def test_one_lost_packet_is_concealed_and_forgotten(room: Any, wait_until: Any) -> None:
    await room.connect()
    sender = room.viewer.connection.getSenders()[0]
    send, count = sender.transport._send_rtp, 0

    async def lossy(data: bytes) -> None:
        nonlocal count
        count += not 192 <= data[1] <= 223  # RTCP
        if count != 40 or 192 <= data[1] <= 223:
            await send(data)

    vars(sender.transport)["_send_rtp"] = lossy
    await wait_until(lambda: room.session.stats().packets_lost >= 1)
    before = room.session.stats().packets_in
    await wait_until(lambda: room.session.stats().packets_in > before + 60)
    assert room.session.stats().ingest_delay_ms <= CONFIG.ingest.max_ms
    assert not room.closed


@pytest.mark.parametrize("channel", [True, False])
async def test_without_microphone_the_avatar_idles(
    make_viewer: Any, worker: Any, portrait: Any, wait_until: Any, channel: bool
) -> None:
    viewer = make_viewer(voice=None, channel=channel)
    room = Room(worker, viewer, portrait)
    await room.connect()
    await wait_until(lambda: len(viewer.pictures) > 20 and room.session.stats().frames_shown > 8)
    assert all((work.pcm == 0).all() for work in worker.works)
    assert not room.closed
    await room.session.close("done")
    await viewer.close()


async def test_messages(room: Any, wait_until: Any) -> None:
    await room.connect()
    await wait_until(lambda: room.session.stats().frames_shown > 0 and room.heard("stats"))
    room.say('{"type": "ping"}')
    await wait_until(lambda: room.heard("pong"))
    skipped = room.session.stats().frames_skipped
    room.say('{"type": "interrupt"}')
    await wait_until(lambda: room.session.stats().frames_skipped > skipped)
    for bad in ("hello", "[]", "{}", '{"type": 3}', '{"type": "dance"}', "[" * 3000):
        before = len(room.heard("error"))
        room.say(bad)
        await wait_until(lambda before=before: len(room.heard("error")) > before)
        assert (
            "expected a JSON object of type ping or interrupt" in room.heard("error")[-1]["message"]
        )
    shown = room.session.stats().frames_shown
    await wait_until(lambda: room.session.stats().frames_shown > shown + 4)
    assert not room.closed


async def test_a_new_prompt_goes_with_the_next_chunk(
    room: Any, worker: Any, wait_until: Any
) -> None:
    assert room.session.set_prompt("too early") is None
    await room.connect()
    await wait_until(lambda: len(worker.works) > 2)
    told = len(worker.works)
    assert room.session.set_prompt("an older one") == room.session.set_prompt("glad")
    seconds = room.session.set_prompt("glad")
    await wait_until(lambda: len(worker.works) > told + 3)
    brought = {work.chunk: work.prompt for work in worker.works if work.prompt is not None}
    assert list(brought.values()) == ["glad"]
    assert seconds <= (min(brought) + 1) * 0.16 + 1e-9, "earlier only if a chunk was skipped"
    await room.session.close("done")
    assert room.session.set_prompt("too late") is None


async def test_it_listens_until_its_own_voice_is_heard(
    room: Any, worker: Any, wait_until: Any
) -> None:
    await room.connect()
    room.session.set_listening(True)
    await wait_until(lambda: any(work.listening for work in worker.works))
    room.session.set_listening(False)
    told = len(worker.works)
    await wait_until(lambda: len(worker.works) > told + 2)
    assert not worker.works[-1].listening


async def test_a_peer_that_never_connects_is_given_up(room: Any, wait_until: Any) -> None:
    await room.start()
    room.ahead = 16 * NANOSECONDS
    await wait_until(lambda: room.closed)
    assert room.closed == [("The peer did not connect within 15 s.", False)]


async def test_a_silent_peer_is_given_up(
    make_viewer: Any, worker: Any, portrait: Any, wait_until: Any
) -> None:
    viewer = make_viewer(voice=None)
    room = Room(worker, viewer, portrait)
    await room.connect()
    await wait_until(lambda: room.heard("stats"))
    room.ahead = 5 * NANOSECONDS
    room.say('{"type": "ping"}')
    await wait_until(lambda: room.heard("pong"))
    room.ahead = 12 * NANOSECONDS
    await asyncio.sleep(1.2)
    assert not room.closed
    room.ahead = 16 * NANOSECONDS
    await wait_until(lambda: room.closed)
    assert room.closed == [("Nothing was heard from the peer for 9 s.", False)]
    assert not worker.open
    await viewer.close()


async def test_a_peer_that_leaves_ends_the_session(room: Any, worker: Any, wait_until: Any) -> None:
    await room.connect()
    await wait_until(lambda: room.viewer.pictures)
    await room.viewer.close()
    await wait_until(lambda: room.closed)
    assert room.closed == [("The peer closed the connection.", False)]
    assert not worker.open


async def test_a_dead_worker_ends_the_session(room: Any, worker: Any, wait_until: Any) -> None:
    await room.connect()
    worker.fail_submit = True
    await wait_until(lambda: room.closed)
    assert room.closed == [("The worker died.", True)]


async def test_a_worker_that_refuses(room: Any, worker: Any) -> None:
    worker.fail_open = True
    with pytest.raises(WorkerError, match="not there"):
        await room.start()
    assert not room.closed


async def test_a_bad_offer_opens_nothing(worker: Any, portrait: Any) -> None:
    session = Session("one", worker, CONFIG, time.monotonic_ns)
    tasks = asyncio.all_tasks()
    with pytest.raises(OfferError):
        await session.start("nonsense", portrait, "")
    assert not worker.open
    assert asyncio.all_tasks() == tasks
    await session.close("again")


async def test_starting_twice_and_closing_often(room: Any, worker: Any) -> None:
    assert room.session.stats().state == "new"
    await room.start()
    with pytest.raises(SessionError, match="started or closed before"):
        await room.start()
    await asyncio.gather(*(room.session.close("enough") for _ in range(3)))
    await room.session.close("enough")
    assert not worker.open
    assert not room.closed  # it did not end by itself


async def test_closed_while_it_starts(room: Any, worker: Any) -> None:
    worker.opening.clear()
    starting = asyncio.create_task(room.start())
    await worker.asked.wait()
    closing = asyncio.create_task(room.session.close("changed my mind"))
    await asyncio.sleep(0.01)
    worker.opening.set()
    with pytest.raises(SessionError, match="closed while it was starting"):
        await starting
    await closing
    assert not worker.open


@pytest.mark.parametrize("seconds", [0.0, 0.002, 0.01, 0.03])
async def test_closed_at_any_moment_of_the_start(room: Any, worker: Any, seconds: float) -> None:
    starting = asyncio.create_task(room.start())
    await asyncio.sleep(seconds)
    await room.session.close("changed my mind")
    await asyncio.gather(starting, return_exceptions=True)
    assert starting.exception() is None or isinstance(starting.exception(), SessionError)
    assert not worker.open


async def test_a_worker_that_dies_with_a_chunk_in_hand(
    room: Any, worker: Any, wait_until: Any
) -> None:
    await room.connect()
    worker.failure = WorkerError("The worker's process ended.")
    await wait_until(lambda: room.closed)
    assert room.closed == [("The worker's process ended.", True)]


async def test_cancelled_while_it_starts(room: Any, worker: Any) -> None:
    offer = await room.viewer.offer()
    starting = asyncio.create_task(room.session.start(offer, room._portrait, ""))
    await asyncio.sleep(0.002)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not worker.open


def held() -> tuple[int, int, int]:
    """Tasks, threads and descriptors of this process; asyncio's own pool grows as it likes."""
    gc.collect()
    threads = [thread for thread in threading.enumerate() if "asyncio_" not in thread.name]
    return len(asyncio.all_tasks()), len(threads), len(os.listdir("/proc/self/fd"))


async def test_twenty_sessions_leave_nothing_behind(
    make_viewer: Any, worker: Any, portrait: Any, wait_until: Any
) -> None:
    async def call() -> weakref.ref[Session]:
        viewer = make_viewer()
        room = Room(worker, viewer, portrait)
        await room.connect()
        await wait_until(lambda: len(viewer.pictures) > 1)
        await room.session.close("done")
        await viewer.close()
        return weakref.ref(room.session)

    await call()  # what is made once, such as the loop's own threads
    await asyncio.sleep(0.1)
    before = held()
    gone = [await call() for _ in range(20)]
    await wait_until(lambda: all(a <= b for a, b in zip(held(), before, strict=True)))
    assert sum(session() is not None for session in gone) <= 1
    assert not worker.open


async def test_a_closed_session_is_freed_without_the_garbage_collector(
    make_viewer: Any, worker: Any, portrait: Any, wait_until: Any
) -> None:
    """libvpx alone holds megabytes a call, so nothing of ours may hang in aiortc's cycles."""

    async def call() -> weakref.ref[Session]:
        viewer = make_viewer()
        session = Session("one", worker, CONFIG, time.monotonic_ns)  # a Room would be a cycle
        await viewer.accept(await session.start(await viewer.offer(), portrait, ""))
        await wait_until(lambda: viewer.pictures and viewer.messages)
        await session.close("done")
        await viewer.close()
        return weakref.ref(session)

    await call()
    gc.collect()
    gc.disable()
    try:
        before = codecs_and_peers()
        gone = await call()
        await wait_until(lambda: gone() is None)
        assert codecs_and_peers() == before
    finally:
        gc.enable()


def codecs_and_peers() -> dict[str, int]:
    """How many objects that hold much memory outside of Python, or reach one that does."""
    kinds = (Session, Peer, Vp8Encoder, OpusEncoder, OpusDecoder, Ingest, VideoCodecContext)
    return {kind.__name__: sum(type(o) is kind for o in gc.get_objects()) for kind in kinds}

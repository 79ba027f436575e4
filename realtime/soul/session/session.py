"""One conversation: the only place that wires media to stream.

One engine, one media clock, one peer. Knows no HTTP, no model and no device; the monotonic clock
is handed in. Opened in this order, closed in the reverse one:

    offer checked → stream opened at the worker → peer answers → media clock starts → three pumps

The pumps: *listen* (every 20 ms: sound of the ingest, or silence, to detector, engine and
playout), *play* (every 20 ms: what playout releases, to the peer) and *watch* (every second:
figures to the peer, and whether it is still there). A pump that fails ends the session.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from soul.media.clock import MediaClock, ms_to_samples
from soul.media.ingest import Ingest, IngestConfig
from soul.media.packets import Picture, SoundPacket
from soul.media.playout import Playout, PlayoutConfig, Release
from soul.media.tracks import Peer, PeerConfig, PeerEvents, check_offer
from soul.media.vad import Vad, VadConfig
from soul.session.stats import Meter, SessionStats
from soul.session.worker import Worker
from soul.stream.engine import Engine, EngineConfig
from soul.stream.types import ChunkFormat, ChunkSkipped, Event, Frames, Pcm, Pictures, StreamId
from soul.stream.worker import WorkerError
from soul.timebase import (
    AUDIO_RATE,
    NANOSECONDS,
    SAMPLES_PER_PACKET,
    Instant,
    exact_div,
    samples_to_ns,
)

_log = logging.getLogger(__name__)


class SessionError(Exception):
    """One sentence: why a session cannot do what was asked."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """`compute_ms` and `margin_ms` make the first delay: chunk + lookahead + compute + margin."""

    seed: int = 0
    compute_ms: int = 90
    margin_ms: int = 15
    max_delay_ms: int = 800
    connect_s: int = 15  # from the answer until the peer is connected
    heartbeat_s: int = 9  # a peer with a data channel that is silent for so long is gone
    ingest: IngestConfig = field(default_factory=IngestConfig)
    vad: VadConfig = field(default_factory=VadConfig)
    peer: PeerConfig = field(default_factory=PeerConfig)

    def playout(self, format: ChunkFormat) -> PlayoutConfig:
        """The delays that chunks of `format` need."""
        heard = (format.chunk_samples + format.lookahead_samples) * 1000 // AUDIO_RATE + 1
        return PlayoutConfig(
            start_delay_ms=heard + self.compute_ms + self.margin_ms,
            min_delay_ms=heard + self.margin_ms,
            max_delay_ms=self.max_delay_ms,
            margin_ms=self.margin_ms,
        )

    def allowance(self, format: ChunkFormat, delay: int) -> tuple[Instant, Instant]:
        """(budget, grace) of a chunk when the playout's delay is `delay` samples.

        The budget is what the delay leaves after hearing the chunk. Up to one chunk's length a
        slow machine costs delay, not quality: the playout grows. Whatever the longest delay could
        still show is handed out, and nothing after it: only so does playout learn how late a very
        slow machine is, and a few pictures are better than none.
        """
        heard = format.chunk_samples + format.lookahead_samples
        budget = samples_to_ns(max(delay - heard, format.chunk_samples))
        longest = samples_to_ns(ms_to_samples(self.max_delay_ms) - heard)
        return budget, max(longest - budget, 0)


@dataclass(slots=True)
class _Running:
    """All that exists between start and close."""

    clock: MediaClock
    ingest: Ingest
    vad: Vad
    engine: Engine
    playout: Playout
    peer: Peer


class Session:
    """A peer and the avatar that speaks with it. `start` once, `close` as often as you like."""

    def __init__(
        self,
        stream: StreamId,
        worker: Worker,
        config: SessionConfig,
        clock: Callable[[], Instant],
        on_closed: Callable[[str, bool], None] | None = None,
    ) -> None:
        """`clock` reads a monotonic clock; `on_closed` gets one sentence if the session ends by
        itself, after all of it has been freed, and whether something of ours broke."""
        self._stream = stream
        self._worker = worker
        self._config = config
        self._now = clock
        self._on_closed = on_closed
        self._meter = Meter()
        self._started = clock()
        self._begun = self._connected = self._opened = False
        self._listening = False
        self._running: _Running | None = None
        self._peer: Peer | None = None
        self._pumps: list[asyncio.Task[None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # not in the middle of `start`
        self._settled.set()

    async def start(self, offer_sdp: str, portrait: Pictures, prompt: str) -> str:
        """SDP answer to `offer_sdp`; `portrait` is uint8 [size, size, 3].

        Raises OfferError, WorkerError or SessionError; nothing is left open then.
        """
        if self._begun or self._closing is not None:
            raise SessionError(f"Session {self._stream} was started or closed before.")
        self._begun = True
        check_offer(offer_sdp)
        self._settled.clear()
        try:
            return await self._start(offer_sdp, portrait, prompt)
        except BaseException:
            self._settled.set()
            await self.close("The session could not be started.")
            raise
        finally:
            self._settled.set()

    def set_prompt(self, prompt: str) -> float | None:
        """Change the prompt: the second of the call from which pictures follow it, at the earliest.

        Of several before the next chunk only the newest is heard. None if nothing runs any more.
        """
        if self._running is None or self._closing is not None:
            return None
        chunk = self._running.engine.set_prompt(prompt)
        return chunk * self._worker.format.chunk_samples / AUDIO_RATE

    def set_listening(self, listening: bool) -> None:
        """Whether somebody else has the word: the portrait attends while its own voice is silent.

        A voice of its own takes the word back, as long as it lasts.
        """
        self._listening = listening

    async def close(self, reason: str) -> None:
        """Free everything: pumps, connection, sockets, threads, the worker's stream."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(reason))
        await asyncio.shield(self._closing)

    def stats(self) -> SessionStats:
        """A look at the session now; zeros before it has started."""
        if self._running is None:
            return SessionStats()
        return self._measure(self._running, self._now())

    async def _start(self, offer: str, portrait: Pictures, prompt: str) -> str:
        self._opened = True  # from here on it may be open at the worker
        await self._worker.open_stream(
            self._stream, portrait, prompt, self._config.seed, self._frames
        )
        self._check_open()
        clock = MediaClock(self._now())
        events = PeerEvents(
            self._sound, self._peer_connected, self._message, self._end, self._picture_sent
        )
        self._peer = Peer(self._config.peer, events, self._now, clock.epoch)
        try:
            answer = await self._peer.answer(offer)
        finally:
            self._check_open()
        self._running = self._wire(clock, self._peer, portrait)
        self._started = self._now()
        for pump in (self._listen, self._play, self._watch):
            self._pumps.append(self._pump(pump(self._running), pump.__name__))
        return answer

    def _wire(self, clock: MediaClock, peer: Peer, portrait: Pictures) -> _Running:
        format = self._worker.format
        playout = Playout(clock, portrait, self._config.playout(format))
        budget, grace = self._config.allowance(format, playout.delay)
        config = EngineConfig(budget=budget, grace=grace)
        engine = Engine(self._stream, format, self._worker.steps, config)
        ingest, vad = Ingest(clock, self._config.ingest), Vad(self._config.vad)
        return _Running(clock, ingest, vad, engine, playout, peer)

    def _check_open(self) -> None:
        if self._closing is not None:
            raise SessionError(f"Session {self._stream} was closed while it was starting.")

    async def _close(self, reason: str) -> None:
        _log.info("session %s closes: %s", self._stream, reason)
        await self._settled.wait()  # `start` sees that it is to give up, and nothing opens later
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        try:
            if self._peer is not None:
                await self._peer.close()
        finally:
            # Sounds, pictures and the resampler's threads end now, not when cycles are collected.
            self._running = self._peer = None
            self._pumps.clear()  # how they were cancelled holds all that they had in hand
            await self._close_stream()

    async def _close_stream(self) -> None:
        if not self._opened:
            return
        try:
            await self._worker.close_stream(self._stream)
        except WorkerError as error:
            _log.info("session %s: the worker's stream was gone: %s", self._stream, error)

    def _end(self, reason: str, broken: bool = False) -> None:
        """The session ends by itself."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(reason))
            self._closing.add_done_callback(lambda _: self._tell(reason, broken))

    def _tell(self, reason: str, broken: bool) -> None:
        if self._on_closed is not None:
            self._on_closed(reason, broken)

    def _pump(self, pump: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(pump, name=f"{self._stream}{name}")
        task.add_done_callback(self._pump_ended)
        return task

    def _pump_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("session %s: %s failed", self._stream, task.get_name(), exc_info=error)
            self._end(f"The session failed: {error}", broken=True)

    async def _listen(self, running: _Running) -> None:
        """Sound, or silence, to everything that hears; as soon as a chunk is complete."""
        format = self._worker.format
        phase = (format.chunk_samples + format.lookahead_samples) % SAMPLES_PER_PACKET
        while True:
            ticks = (running.ingest.position - phase) // SAMPLES_PER_PACKET + 1
            await self._sleep_until(running.clock.instant_of(phase + ticks * SAMPLES_PER_PACKET))
            now = self._now()
            due = (running.clock.sample_at(now) - phase) // SAMPLES_PER_PACKET
            sound = running.ingest.pull(phase + max(due, ticks) * SAMPLES_PER_PACKET)
            running.vad.receive(sound)
            running.engine.attend(self._listening and not running.vad.speaking)
            running.playout.receive_sound(sound, running.vad.speaking)
            running.engine.allow(*self._config.allowance(format, running.playout.delay))
            running.engine.receive_audio(Pcm(sound.start, sound.samples), now)
            self._turn(running, now)

    async def _play(self, running: _Running) -> None:
        while True:
            await self._sleep_until(running.playout.next_due())
            now = self._now()
            while (release := running.playout.release(now)) is not None:
                self._send(running, release)

    async def _watch(self, running: _Running) -> None:
        while True:
            await asyncio.sleep(1)
            now = self._now()
            stats = self._measure(running, now)
            self._meter.sample(now, running.peer.stats().pictures_out)
            running.peer.send_message(json.dumps({"type": "stats", **stats.to_json()}))
            self._check_alive(running, now)

    def _check_alive(self, running: _Running, now: Instant) -> None:
        config, failure = self._config, self._worker.failure
        if failure is not None:
            self._end(str(failure), broken=True)
        elif not self._connected:
            if now - self._started > config.connect_s * NANOSECONDS:
                self._end(f"The peer did not connect within {config.connect_s} s.")
        elif (
            running.peer.has_channel
            and now - running.peer.stats().last_heard > config.heartbeat_s * NANOSECONDS
        ):
            self._end(f"Nothing was heard from the peer for {config.heartbeat_s} s.")

    def _send(self, running: _Running, release: Release) -> None:
        running.peer.send_sound(release.pts, release.sound)
        if release.picture is None:
            return
        if release.action == "show":
            waited = int(running.ingest.stats().delay_ms * 1e6)
            heard = running.clock.instant_of(release.picture.start) - waited
            self._meter.leaving(release.pts, heard)
        running.peer.send_picture(release.pts, release.picture.image)

    def _turn(self, running: _Running, now: Instant) -> None:
        """After anything was told to the engine: what it decided, and what is to do next."""
        engine = running.engine
        while (work := engine.next_work(now)) is not None:  # may skip chunks, which are events
            try:
                self._worker.submit(work)
            except WorkerError as error:
                self._end(str(error), broken=True)
                return
        while (event := engine.next_event()) is not None:
            self._handle(running, event, now)

    def _handle(self, running: _Running, event: Event, now: Instant) -> None:
        if isinstance(event, ChunkSkipped):
            _log.debug("session %s: %s", self._stream, event.reason)
            return
        self._meter.computed(event.times)
        step = exact_div(self._worker.format.chunk_samples, len(event.pictures))
        pictures = [
            Picture(event.start + index * step, image) for index, image in enumerate(event.pictures)
        ]
        running.playout.receive_pictures(pictures, now)

    def _frames(self, frames: Frames) -> None:
        running, now = self._running, self._now()
        if running is None or self._closing is not None:
            return
        running.engine.receive_frames(frames, now)
        self._turn(running, now)

    def _sound(self, packet: SoundPacket) -> None:
        if self._running is not None:
            self._running.ingest.receive(packet)

    def _picture_sent(self, pts: int) -> None:
        self._meter.left(pts, self._now())

    def _peer_connected(self) -> None:
        self._connected = True

    def _message(self, text: str) -> None:
        """One message of the data channel: ping, interrupt, or an error in return."""
        running = self._running
        if running is None or self._closing is not None:
            return
        kind = _kind(text)
        if kind == "ping":
            running.peer.send_message('{"type": "pong"}')
        elif kind == "interrupt":
            now = self._now()
            running.engine.interrupt(now)
            running.playout.flush()
            self._turn(running, now)
        else:
            said = f"Message {text[:40]!r}: expected a JSON object of type ping or interrupt."
            running.peer.send_message(json.dumps({"type": "error", "message": said}))

    async def _sleep_until(self, moment: Instant) -> None:
        await asyncio.sleep(max(moment - self._now(), 0) / NANOSECONDS)

    def _measure(self, running: _Running, now: Instant) -> SessionStats:
        engine, playout = running.engine.stats(), running.playout.stats()
        ingest, peer = running.ingest.stats(), running.peer.stats()
        stages = self._meter.stages_ms()
        return SessionStats(
            uptime_s=(now - self._started) / NANOSECONDS,
            state=peer.state,
            speaking=running.vad.speaking,
            fps=self._meter.fps(now, peer.pictures_out),
            frames_shown=playout.shown,
            frames_repeated=playout.repeated,
            frames_skipped=playout.skipped,
            pictures_dropped=peer.pictures_dropped,
            queued_pictures=playout.queued_pictures,
            queued_sound_ms=_ms(playout.queued_sound),
            waiting_chunks=engine.waiting,
            chunks_late=engine.late,
            chunks_skipped=engine.skipped,
            chunks_hurried=engine.hurried,
            degraded=engine.degraded,
            delay_p50_ms=self._meter.delay_ms(50),
            delay_p95_ms=self._meter.delay_ms(95),
            playout_delay_ms=_ms(playout.delay_samples),
            ingest_delay_ms=ingest.delay_ms,
            skew_max_ms=_ms(playout.skew_max_samples),
            listen_ms=stages.listen,
            denoise_ms=stages.denoise,
            decode_ms=stages.decode,
            commit_ms=stages.commit,
            packets_in=ingest.packets,
            packets_lost=ingest.lost,
            packets_late=ingest.late,
            packets_dropped=ingest.dropped,
            concealed_ms=_ms(ingest.concealed_samples),
            video_bitrate=peer.video_bitrate,
            key_frames=peer.key_frames,
        )


def _ms(samples: int) -> float:
    return samples * 1000 / AUDIO_RATE


def _kind(text: str) -> str:
    """The type of a message; empty if it has none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    kind = message.get("type") if isinstance(message, dict) else None
    return kind if isinstance(kind, str) else ""

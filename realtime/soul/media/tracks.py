"""The only file that knows aiortc: a peer connection with sound in, sound and pictures out.

Knows no model and no schedule: what leaves, and when, is decided elsewhere and handed in.

Where aiortc 1.16 is not enough, this file goes around it, and `AiortcMismatch` is raised at once
if an attribute that it relies on is absent (1.13 and 1.14 have the same names; 1.16 was run):

- `RTCRtpReceiver.__jitter_buffer` (16 packets, goes silent and stays late after one loss,
  aiortc#543) is replaced by `_Tap`: every packet is passed on, aiortc gets nothing to decode.
- Tracks hand out coded packets (a public way of aiortc), so that encoding has a thread of its own;
  `RTCRtpSender.__force_keyframe` and the encoder's `target_bitrate` are read from the sender.
- `RTCRtpSender.__ntp_timestamp`, the moment of sending, becomes call epoch + pts, so that the
  sender reports of both tracks are on one clock.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from types import CoroutineType
from typing import Any

import aiortc
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc import (
    clock as ntp_clock,
)
from aiortc.codecs.vpx import Vp8Encoder as AiortcVp8
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket
from aiortc.sdp import MediaDescription, SessionDescription
from av import Packet
from av.stream import Stream

from soul.media.clock import VIDEO_RATE, to_rate
from soul.media.codecs import CodecError, OpusDecoder, OpusEncoder, VideoConfig, Vp8Encoder
from soul.media.outbox import Outbox
from soul.media.packets import Image, Samples, SoundPacket, TimestampUnwrapper
from soul.timebase import AUDIO_RATE, NANOSECONDS, OPUS_RATE, Instant

_log = logging.getLogger(__name__)

_MAX_OFFER = 64 * 1024  # characters
_MAX_BUFFERED = 64 * 1024  # bytes waiting on the data channel: more, and news are dropped


class OfferError(Exception):
    """One sentence: what is wrong with the offer and what was expected."""


class AiortcMismatch(RuntimeError):
    """This aiortc lacks an attribute that this file relies on."""


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """How one peer is spoken to."""

    video: VideoConfig = field(default_factory=VideoConfig)
    audio_bitrate: int = 32_000


@dataclass(frozen=True, slots=True)
class PeerEvents:
    """What a peer tells; all called on the loop. `on_closed` gets one sentence.

    `on_picture` gets the pts of a picture that is coded and handed to the network.
    """

    on_sound: Callable[[SoundPacket], None]
    on_connected: Callable[[], None]
    on_message: Callable[[str], None]
    on_closed: Callable[[str], None]
    on_picture: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PeerStats:
    """Counters since the start."""

    state: str
    sound_packets_in: int
    sound_packets_corrupt: int
    sound_packets_out: int
    pictures_out: int
    pictures_dropped: int  # not taken by the encoder in time
    video_bytes_out: int
    video_bitrate: int
    key_frames: int
    last_heard: Instant  # when anything last came from the peer


class _Tap:
    """Stands where aiortc's jitter buffer stood: packets go on at once, aiortc decodes nothing."""

    def __init__(self, on_packet: Callable[[RtpPacket], None]) -> None:
        self._on_packet: Callable[[RtpPacket], None] | None = on_packet

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """(no picture loss to report, no frame to decode)."""
        if self._on_packet is not None:
            self._on_packet(packet)
        return False, None

    def close(self) -> None:
        """Let go of who listened."""
        self._on_packet = None


class _Inside:
    """The private attributes of an aiortc object, by name; AiortcMismatch if one is absent."""

    def __init__(self, owner: RTCRtpSender | RTCRtpReceiver, names: tuple[str, ...]) -> None:
        self._attributes: dict[str, Any] = vars(owner)
        self._prefix = f"_{type(owner).__name__}__"
        absent = [name for name in names if self._prefix + name not in self._attributes]
        if absent:
            raise AiortcMismatch(
                f"aiortc {aiortc.__version__} has no {type(owner).__name__}.__{absent[0]}: "
                "expected a version that works like 1.16"
            )

    def __getitem__(self, name: str) -> Any:
        return self._attributes[self._prefix + name]

    def __setitem__(self, name: str, value: object) -> None:
        self._attributes[self._prefix + name] = value


class _Sending:
    """One sender's side: its sender reports, key frame wishes and bitrate estimates."""

    def __init__(self, sender: RTCRtpSender, ntp_epoch: int) -> None:
        self._inside = _Inside(sender, ("ntp_timestamp", "force_keyframe", "encoder"))
        self._ntp_epoch = ntp_epoch
        self._in_flight: int | None = None

    def next(self, pts: int) -> None:
        """The packet of output position `pts` is about to be handed to aiortc."""
        self._in_flight = pts

    def sent(self) -> None:
        """aiortc asks for more, so what it was given last has left: date it by its pts."""
        if self._in_flight is not None:
            elapsed = (self._in_flight << 32) // AUDIO_RATE
            self._inside["ntp_timestamp"] = self._ntp_epoch + elapsed

    def key_frame_wanted(self) -> bool:
        wanted = bool(self._inside["force_keyframe"])
        self._inside["force_keyframe"] = False
        return wanted

    def estimate(self) -> int | None:
        """Bits per second that the receiver believes in (REMB), if it ever said so."""
        encoder = self._inside["encoder"]
        return encoder.target_bitrate if isinstance(encoder, AiortcVp8) else None


class _SoundOut(MediaStreamTrack):
    """20 ms of sound a `recv`, as an Opus packet."""

    kind = "audio"

    def __init__(self, bitrate: int) -> None:
        super().__init__()
        self.queue = Outbox(MediaStreamError)
        self.sending: _Sending | None = None
        self.packets = 0
        self._encoder: OpusEncoder | None = OpusEncoder(bitrate)

    async def recv(self) -> "Packet[Stream]":
        if self.sending is not None:
            self.sending.sent()
        pts, samples = await self.queue.get()
        if self._encoder is None:
            raise MediaStreamError
        packet = _packet(self._encoder.encode(samples), pts, OPUS_RATE)
        self.packets += 1
        if self.sending is not None:
            self.sending.next(pts)
        return packet

    def stop(self) -> None:
        self.queue.close()
        self._encoder = None  # its threads end now, and not when cycles are collected
        super().stop()


class _PicturesOut(MediaStreamTrack):
    """One picture a `recv`, as a VP8 frame made in a thread of its own."""

    kind = "video"

    def __init__(self, config: VideoConfig, on_picture: Callable[[int], None]) -> None:
        super().__init__()
        self._on_picture: Callable[[int], None] | None = on_picture
        self.queue = Outbox(MediaStreamError)
        self.sending: _Sending | None = None
        self.pictures = self.key_frames = self.octets = 0
        self._encoder = Vp8Encoder(config)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vp8")

    @property
    def bitrate(self) -> int:
        return self._encoder.bitrate

    async def recv(self) -> "Packet[Stream]":
        if self.sending is not None:
            self.sending.sent()
        payload = b""
        while not payload:
            pts, image = await self.queue.get()
            payload = await self._encode(image, pts)
        self.pictures += 1
        self.octets += len(payload)
        if self.sending is not None:
            self.sending.next(pts)
        if self._on_picture is not None:
            self._on_picture(pts)  # aiortc sends the packets as soon as it has them
        return _packet(payload, pts, VIDEO_RATE)

    async def _encode(self, image: Image, pts: int) -> bytes:
        key = False
        if self.sending is not None:
            key = self.sending.key_frame_wanted()
            estimate = self.sending.estimate()
            if estimate is not None:
                self._encoder.suggest_bitrate(estimate)
        self.key_frames += int(key)
        loop = asyncio.get_running_loop()
        ticks = to_rate(pts, VIDEO_RATE)
        return await loop.run_in_executor(self._thread, self._encoder.encode, image, ticks, key)

    def stop(self) -> None:
        self.queue.close()
        self._on_picture = None  # aiortc's closed objects hold this track
        super().stop()

    def release(self) -> None:
        """End the encoder and its thread; waits for a picture that is being coded."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._encoder.close()


class Peer:
    """One remote browser or program. Make it on a running loop, `answer` once, `close` once.

    `now` reads the monotonic clock; `epoch` is the moment of output position 0.
    """

    def __init__(
        self,
        config: PeerConfig,
        events: PeerEvents,
        now: Callable[[], Instant],
        epoch: Instant,
    ) -> None:
        self._events = events
        self._now = now
        self._sound = _SoundOut(config.audio_bitrate)
        self._pictures = _PicturesOut(config.video, events.on_picture)
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._ntp_epoch = ntp_clock.current_ntp_time() - ((now() - epoch) << 32) // NANOSECONDS
        self._channel: RTCDataChannel | None = None
        self._taps: list[_Tap] = []
        self._decoder = OpusDecoder()
        self._unwrapper = TimestampUnwrapper()
        self._received = self._corrupt = 0
        self._heard = now()
        self._connected = self._closing = False
        self._connection.on("connectionstatechange", self._state_changed)
        self._connection.on("datachannel", self._channel_opened)

    @property
    def has_channel(self) -> bool:
        """Whether the peer opened a data channel."""
        return self._channel is not None

    async def answer(self, offer: str) -> str:
        """SDP answer to an SDP `offer`, with all candidates; OfferError if there is none."""
        check_offer(offer)
        sound, pictures = self._add_tracks()
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            self._tap()
            await self._connection.setLocalDescription(await self._connection.createAnswer())
            for attempt in _attempts():
                attempt.add_done_callback(_retrieve)
        except _SDP_ERRORS as error:
            raise OfferError(f"The SDP offer cannot be answered: {_sentence(error)}.") from error
        self._sound.sending = _Sending(sound, self._ntp_epoch)
        self._pictures.sending = _Sending(pictures, self._ntp_epoch)
        return str(self._connection.localDescription.sdp)

    def send_sound(self, pts: int, samples: Samples) -> None:
        """[320] float32 at 16 kHz of output position `pts`; leaves now, if there is a peer."""
        if self._connected:
            self._sound.queue.put(pts, samples)

    def send_picture(self, pts: int, image: Image) -> None:
        """[height, width, 3] RGB of output position `pts`; leaves as soon as it is coded."""
        if self._connected:
            self._pictures.queue.put(pts, image)

    def send_message(self, text: str) -> None:
        """Send `text` on the data channel; forgotten if there is none or it is congested."""
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return
        if channel.bufferedAmount < _MAX_BUFFERED:
            channel.send(text)

    def stats(self) -> PeerStats:
        return PeerStats(
            state=self._connection.connectionState,
            sound_packets_in=self._received,
            sound_packets_corrupt=self._corrupt,
            sound_packets_out=self._sound.packets,
            pictures_out=self._pictures.pictures,
            pictures_dropped=self._pictures.queue.dropped,
            video_bytes_out=self._pictures.octets,
            video_bitrate=self._pictures.bitrate,
            key_frames=self._pictures.key_frames,
            last_heard=self._heard,
        )

    async def close(self) -> None:
        """Free sockets, threads, tasks and codecs; harmless when repeated."""
        self._closing = True
        self._sound.stop()
        self._pictures.stop()
        try:
            await self._connection.close()
        finally:
            self._pictures.release()
            self._let_go()

    def _let_go(self) -> None:
        """aiortc's closed objects hold one another until the garbage collector finds them: of
        ours they shall hold nothing any more."""
        self._connection.remove_all_listeners()
        if self._channel is not None:
            self._channel.remove_all_listeners()
        for tap in self._taps:
            tap.close()

    def _add_tracks(self) -> tuple[RTCRtpSender, RTCRtpSender]:
        connection = self._connection
        senders = connection.addTrack(self._sound), connection.addTrack(self._pictures)
        for transceiver in connection.getTransceivers():
            kind = transceiver.kind
            wanted = ("audio/opus",) if kind == "audio" else ("video/vp8", "video/rtx")
            codecs = RTCRtpSender.getCapabilities(kind).codecs
            transceiver.setCodecPreferences([c for c in codecs if c.mimeType.lower() in wanted])
            if kind == "video":
                transceiver.direction = "sendonly"  # a camera would fill a queue nobody reads
        return senders

    def _tap(self) -> None:
        for transceiver in self._connection.getTransceivers():
            if transceiver.kind == "audio":
                tap = _Tap(self._received_packet)
                _Inside(transceiver.receiver, ("jitter_buffer",))["jitter_buffer"] = tap
                self._taps.append(tap)

    def _received_packet(self, packet: RtpPacket) -> None:
        now = self._now()
        self._heard = now
        self._received += 1
        pts = self._unwrapper.unwrap(packet.timestamp)
        try:
            samples = self._decoder.decode(packet.payload)
        except CodecError:
            self._corrupt += 1
            return
        if len(samples):
            self._events.on_sound(SoundPacket(pts, OPUS_RATE, samples, now))

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        self._heard = self._now()
        channel.on("message", self._message)

    def _message(self, message: str | bytes) -> None:
        self._heard = self._now()
        text = message if isinstance(message, str) else message.decode(errors="replace")
        self._events.on_message(text)

    def _state_changed(self) -> None:
        state = self._connection.connectionState
        if self._closing:
            return
        if state == "connected":
            self._connected = True
            self._heard = self._now()
            self._events.on_connected()
        elif state == "failed":
            self._events.on_closed("The connection to the peer failed.")
        elif state == "closed":
            self._events.on_closed("The peer closed the connection.")


# What aiortc's parser and its negotiation raise on input that they did not foresee.
_SDP_ERRORS = (
    ValueError,
    AssertionError,
    LookupError,
    TypeError,
    AttributeError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
    StopIteration,
)
_EXPECTED = "expected one audio and one video section, the video one to be received by the peer"


def _attempts() -> "list[asyncio.Task[Any]]":
    """aiortc's tasks that are connecting; it starts them and waits for none."""
    return [
        task
        for task in asyncio.all_tasks()
        if isinstance(coroutine := task.get_coro(), CoroutineType)
        and coroutine.__qualname__ == "RTCPeerConnection.__connect"
    ]


def _retrieve(attempt: "asyncio.Task[Any]") -> None:
    """A connection closed while it connects fails, as it should: no news, unlike other errors."""
    error = None if attempt.cancelled() else attempt.exception()
    if error is not None and not isinstance(error, InvalidStateError):
        _log.error("connecting failed", exc_info=error)


def check_offer(offer: str) -> None:
    """OfferError unless `offer` asks for what a session gives."""
    if len(offer) > _MAX_OFFER:
        raise OfferError(
            f"The SDP offer has {len(offer)} characters: expected {_MAX_OFFER} at most."
        )
    if not offer.lstrip().startswith("v=0"):
        begin = offer.strip()[:24]
        raise OfferError(f"The SDP offer begins with {begin!r}: expected 'v=0'.")
    try:
        description = SessionDescription.parse(offer)
    except _SDP_ERRORS as error:
        raise OfferError(
            f"The SDP offer cannot be read ({_sentence(error)}): {_EXPECTED}."
        ) from error
    _check_bundle(description)
    _only(description, "audio")
    video = _only(description, "video")
    if video.direction not in ("recvonly", "sendrecv"):
        raise OfferError(
            f"The video section of the SDP offer is {video.direction}: expected recvonly."
        )


def _check_bundle(description: SessionDescription) -> None:
    """aiortc cannot close what it has bundled with a section that is not there."""
    names = [media.rtp.muxId for media in description.media]
    if len(set(names)) != len(names) or ("" in names and len(names) > 1):
        raise OfferError(f"The SDP offer names its sections {names}: expected one mid each.")
    for group in description.group:
        absent = [name for name in group.items if str(name) not in names]
        if group.semantic == "BUNDLE" and absent:
            raise OfferError(f"The SDP offer bundles section {absent[0]}: expected one of {names}.")


def _only(description: SessionDescription, kind: str) -> MediaDescription:
    found = [media for media in description.media if media.kind == kind]
    if len(found) != 1:
        raise OfferError(f"The SDP offer has {len(found)} {kind} sections: {_EXPECTED}.")
    if not found[0].port or found[0].direction in (None, "inactive"):
        raise OfferError(f"The {kind} section of the SDP offer is inactive: {_EXPECTED}.")
    wanted = {"audio": "audio/opus", "video": "video/vp8"}[kind]
    if wanted not in [codec.mimeType.lower() for codec in found[0].rtp.codecs]:
        raise OfferError(f"The {kind} section of the SDP offer lists no {wanted}: expected it.")
    return found[0]


def _packet(payload: bytes, pts: int, rate: int) -> "Packet[Stream]":
    packet: Packet[Stream] = Packet(payload)
    packet.pts, packet.time_base = to_rate(pts, rate), Fraction(1, rate)
    return packet


def _sentence(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__

"""Offers good and bad, and the attributes of aiortc that this project relies on."""

import asyncio
import gc
import time
from typing import Any

import numpy as np
import pytest
from aiortc import InvalidStateError, RTCConfiguration, RTCPeerConnection
from aiortc.rtcrtpreceiver import RTCRtpReceiver
from aiortc.rtcrtpsender import RTCRtpSender

from soul.media import tracks
from soul.media.codecs import VideoConfig
from soul.media.packets import SoundPacket
from soul.media.tracks import AiortcMismatch, OfferError, Peer, PeerConfig, PeerEvents, check_offer


async def make_offer(*kinds: tuple[str, str], channel: bool = True) -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind, direction in kinds:
        connection.addTransceiver(kind, direction=direction)
    if channel:
        connection.createDataChannel("soul")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = str(connection.localDescription.sdp)
    await connection.close()
    return sdp


def ignore(_: object = None) -> None:
    return None


def ignore_sound(_: SoundPacket) -> None:
    return None


def make_peer() -> Peer:
    events = PeerEvents(ignore_sound, ignore, ignore, ignore, ignore)
    return Peer(PeerConfig(), events, time.monotonic_ns, time.monotonic_ns())


@pytest.mark.parametrize("audio", ["sendrecv", "sendonly", "recvonly"])
@pytest.mark.parametrize("video", ["recvonly", "sendrecv"])
async def test_answers_with_candidates_and_never_takes_a_camera(audio: str, video: str) -> None:
    peer = make_peer()
    try:
        answer = await peer.answer(await make_offer(("audio", audio), ("video", video)))
    finally:
        await peer.close()
    sound, pictures = answer.split("m=audio")[1].split("m=video")
    assert "a=candidate" in sound
    assert "opus/48000" in sound
    assert "PCMU" not in sound
    assert "VP8/90000" in pictures
    assert "H264" not in pictures
    assert "a=sendonly" in pictures


@pytest.mark.parametrize(
    ("offer", "said"),
    [
        ("", "begins with '': expected 'v=0'"),
        ("nonsense", "begins with 'nonsense': expected 'v=0'"),
        ("v=0\r\n", "has 0 audio sections"),
        ("v=0\r\nm=", "cannot be read"),
        ("v=0\r\nm=audio x UDP/TLS/RTP/SAVPF 96\r\n", "cannot be read"),
        ("v=0" + "x" * 70_000, "70003 characters: expected 65536 at most"),
        ('{"sdp": "v=0"}', "expected 'v=0'"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(offer: str, said: str) -> None:
    with pytest.raises(OfferError, match=said) as caught:
        check_offer(offer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ((("audio", "sendrecv"),), "has 0 video sections"),
        ((("video", "recvonly"),), "has 0 audio sections"),
        ((("audio", "sendrecv"), ("audio", "sendrecv"), ("video", "recvonly")), "has 2 audio"),
        ((("audio", "inactive"), ("video", "recvonly")), "audio section .* is inactive"),
        ((("audio", "sendrecv"), ("video", "sendonly")), "is sendonly: expected recvonly"),
    ],
)
async def test_what_a_session_cannot_serve(kinds: tuple[tuple[str, str], ...], said: str) -> None:
    with pytest.raises(OfferError, match=said):
        check_offer(await make_offer(*kinds))


async def test_an_offer_without_our_codecs() -> None:
    offer = await make_offer(("audio", "sendrecv"), ("video", "recvonly"))
    with pytest.raises(OfferError, match="lists no video/vp8"):
        check_offer(offer.replace("VP8", "VP7"))
    with pytest.raises(OfferError, match="lists no audio/opus"):
        check_offer(offer.replace("opus", "mpeg"))


async def test_an_offer_without_ice_is_refused_and_nothing_stays() -> None:
    offer = await make_offer(("audio", "sendrecv"), ("video", "recvonly"))
    lines = [line for line in offer.splitlines() if not line.startswith("a=ice-")]
    before = len(asyncio.all_tasks())
    peer = make_peer()
    with pytest.raises(OfferError, match="ICE"):
        await peer.answer("\r\n".join(lines) + "\r\n")
    await peer.close()
    await peer.close()
    assert len(asyncio.all_tasks()) <= before


async def answered(offer: str) -> bool:
    """Whether `offer` gets an answer; if not, it must be an OfferError of one sentence."""
    peer = make_peer()
    try:
        return (await peer.answer(offer)).startswith("v=0")
    except OfferError as error:
        return "\n" in str(error)
    finally:
        await peer.close()


async def test_every_line_left_out_or_spoilt_is_answered_or_refused() -> None:
    lines = (await make_offer(("audio", "sendrecv"), ("video", "recvonly"))).splitlines()
    results = []
    for index in range(len(lines)):
        spoilt = lines[index][: 2 + index % 7]
        for instead in ([], [spoilt]):
            offer = [*lines[:index], *instead, *lines[index + 1 :]]
            results.append(await answered("\r\n".join(offer) + "\r\n"))
    assert True in results
    assert False in results


async def test_aiortcs_attempt_to_connect_is_found_and_watched() -> None:
    peer = make_peer()
    try:
        await peer.answer(await make_offer(("audio", "sendrecv"), ("video", "recvonly")))
        assert len(tracks._attempts()) == 1
    finally:
        await peer.close()


@pytest.mark.parametrize(
    ("error", "logged"),
    [(InvalidStateError("RTCIceTransport is closed"), 0), (RuntimeError("a defect"), 1)],
)
async def test_a_connection_closed_while_it_connects_is_no_news(
    error: Exception, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))

    async def connect() -> None:
        raise error

    attempt = asyncio.create_task(connect())
    attempt.add_done_callback(tracks._retrieve)
    await asyncio.wait([attempt])
    await asyncio.sleep(0)
    del attempt
    gc.collect()
    assert not complaints
    assert len(caplog.records) == logged


async def test_a_picture_is_told_when_it_is_coded_and_not_before() -> None:
    told: list[int] = []
    track = tracks._PicturesOut(VideoConfig(), told.append)
    try:
        track.queue.put(640, np.zeros((64, 64, 3), np.uint8))
        await asyncio.sleep(0)
        assert told == []
        await track.recv()
        assert told == [640]
    finally:
        track.stop()
        track.release()


async def test_this_aiortc_has_what_we_rely_on_and_another_is_named() -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver = connection.addTransceiver("audio")
    assert isinstance(transceiver.receiver, RTCRtpReceiver)
    tracks._Inside(transceiver.receiver, ("jitter_buffer",))
    assert isinstance(transceiver.sender, RTCRtpSender)
    with pytest.raises(AiortcMismatch, match=r"has no RTCRtpSender\.__telepathy: expected"):
        tracks._Inside(transceiver.sender, ("telepathy",))
    await connection.close()

"""Opus and VP8 there and back; what is no packet is refused and does no harm."""

import av
import numpy as np
import pytest

from soul.media.codecs import CodecError, OpusDecoder, OpusEncoder, VideoConfig, Vp8Encoder
from soul.media.packets import Image


def picture(shift: int = 0) -> Image:
    tiles = np.random.default_rng(3).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return np.roll(np.kron(tiles, np.ones((16, 16, 1), np.uint8)), shift, 0)


def decode_vp8(payloads: list[bytes]) -> list[Image]:
    decoder = av.CodecContext.create("libvpx", "r")
    frames = [frame for payload in payloads for frame in decoder.decode(av.Packet(payload))]
    return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in frames]


def test_opus_keeps_a_tone_and_its_length() -> None:
    tone = (0.3 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)).astype(np.float32)
    encoder, decoder = OpusEncoder(), OpusDecoder()
    packets = [encoder.encode(block) for block in np.split(tone, 50)]
    assert all(packets)
    got = np.concatenate([decoder.decode(packet) for packet in packets])
    assert len(got) == 48_000
    assert abs(got[4_800:].std() / tone.std() - 1) < 0.1


@pytest.mark.parametrize("payload", [b"", b"\xff\xff\xff", b"\xfc" * 2000])
def test_what_is_no_opus_is_refused_and_the_decoder_lives_on(payload: bytes) -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    with pytest.raises(CodecError, match=f"{len(payload)} bytes are no Opus packet"):
        decoder.decode(payload)
    assert len(decoder.decode(encoder.encode(np.zeros(320, np.float32)))) == 960


def test_loud_sound_is_clipped_not_wrapped() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    for _ in range(5):
        got = decoder.decode(encoder.encode(np.full(320, 3.0, np.float32)))
    assert got.min() > -1


def test_vp8_shows_the_picture() -> None:
    encoder = Vp8Encoder()
    payloads = [encoder.encode(picture(), n * 3600, key=False) for n in range(10)]
    got = decode_vp8(payloads)[-1]
    assert got.shape == (128, 128, 3)
    assert np.abs(got.astype(int) - picture()).mean() < 20


def test_a_key_frame_on_request_can_begin_a_stream() -> None:
    encoder = Vp8Encoder()
    payloads = [encoder.encode(picture(n), n * 3600, key=n == 5) for n in range(8)]
    assert [payload[0] & 1 == 0 for payload in payloads] == [n in (0, 5) for n in range(8)]
    assert len(decode_vp8(payloads[5:])) == 3


def test_bitrate_is_bounded_and_damped() -> None:
    config = VideoConfig(bitrate=500_000, frames_before_less=2, frames_before_more=3)
    encoder = Vp8Encoder(config)
    encoder.suggest_bitrate(550_000)
    assert encoder.bitrate == 500_000  # too small a change
    encoder.suggest_bitrate(1)
    assert encoder.bitrate == config.min_bitrate
    encoder.suggest_bitrate(10**9)
    assert encoder.bitrate == config.min_bitrate  # too soon
    for n in range(3):
        encoder.encode(picture(), n * 3600, key=False)
    encoder.suggest_bitrate(10**9)
    assert encoder.bitrate == config.max_bitrate


def test_a_new_size_begins_anew() -> None:
    encoder = Vp8Encoder()
    encoder.encode(picture(), 0, key=False)
    payload = encoder.encode(picture()[:64, :64].copy(), 3600, key=False)
    assert decode_vp8([payload])[0].shape == (64, 64, 3)

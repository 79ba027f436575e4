"""Portraits: every kind of picture becomes a square of RGB, every bad one a clear sentence."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from soul.media.portrait import PortraitError, PortraitLimits, read_portrait, read_portrait_file


def encoded(picture: Pillow.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def plain(mode: str = "RGB", size: tuple[int, int] = (120, 160), color: Any = None) -> Pillow.Image:
    return Pillow.new(mode, size, color if color is not None else 0)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_format_becomes_a_square(format: str) -> None:
    got = read_portrait(encoded(plain(color=(200, 100, 50)), format), 64)
    assert got.shape == (64, 64, 3)
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - (200, 100, 50)).max() <= 12


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (plain("L", color=77), 77),
        (plain("1", color=1), 255),
        (plain("LA", color=(90, 255)), 90),
        (plain("P", color=0), 0),
        (Pillow.fromarray(np.full((100, 100), 128 * 257, np.uint16)), 128),
    ],
)
def test_grey_palette_and_sixteen_bits(picture: Pillow.Image, expected: int) -> None:
    got = read_portrait(encoded(picture), 32)
    assert np.abs(got.astype(int) - expected).max() <= 1


def test_cmyk_photo() -> None:
    got = read_portrait(encoded(plain("CMYK", color=(0, 255, 255, 0)), "JPEG"), 32)
    assert got[16, 16, 0] > 200
    assert got[16, 16, 1] < 60


def test_transparent_pixels_show_the_backdrop() -> None:
    limits = PortraitLimits(backdrop=(10, 20, 30))
    got = read_portrait(encoded(plain("RGBA", color=(255, 0, 0, 0))), 16, limits)
    assert (got == (10, 20, 30)).all()
    half = read_portrait(encoded(plain("RGBA", color=(255, 0, 0, 128))), 16, limits)
    assert np.abs(half[0, 0].astype(int) - (133, 10, 15)).max() <= 2


def test_transparent_palette_shows_the_backdrop() -> None:
    picture = plain("P", color=1)
    picture.putpalette([0, 0, 0, 250, 0, 0])
    assert (read_portrait(encoded(picture), 16) == (250, 0, 0)).all()
    got = read_portrait(encoded(picture, "PNG", transparency=1), 16)
    assert (got == PortraitLimits().backdrop).all()


def test_turned_as_exif_says() -> None:
    picture = plain(size=(100, 100))
    picture.paste((255, 255, 255), (0, 0, 100, 50))  # the upper half is white
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: the left column was the bottom row
    got = read_portrait(encoded(picture, "JPEG", exif=exif), 64)
    assert got[32, 60].min() > 200
    assert got[32, 4].max() < 60


def test_tall_pictures_are_cut_above_the_middle() -> None:
    picture = plain(size=(100, 300))
    picture.paste((255, 255, 255), (0, 70, 100, 170))
    assert read_portrait(encoded(picture), 50).min() > 200


@pytest.mark.parametrize(("size", "shape"), [((100, 300), (32, 96)), ((300, 100), (96, 32))])
def test_a_portrait_may_be_a_rectangle(size: tuple[int, int], shape: tuple[int, int]) -> None:
    """The largest part of its shape, slightly above the middle: of a square, a third."""
    picture = plain(size=(300, 300))
    band = size[0]  # height, and then width: what is kept of the other side is all of it
    left, upper = (0, int(200 * 0.35)) if band == 100 else (100, 0)
    picture.paste((255, 255, 255), (left, upper, left + size[1], upper + size[0]))
    got = read_portrait(encoded(picture), shape)
    assert got.shape == (*shape, 3)
    assert got.min() > 200


def test_the_result_is_its_own() -> None:
    got = read_portrait(encoded(plain()), 32)
    got[0, 0] = 9  # writable
    assert got.flags.owndata


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises more than it holds."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [10_000, 20_000, 60_000])
def test_too_many_pixels_are_refused_undecoded(side: int) -> None:
    with pytest.raises(
        PortraitError, match=rf"{side * side if side > 10_000 else side}.* pixels.*40 million"
    ):
        read_portrait(bomb(side, side), 64)


def test_too_many_bytes() -> None:
    with pytest.raises(PortraitError, match="9000000 bytes"):
        read_portrait(bytes(9_000_000), 64)


def test_too_small() -> None:
    with pytest.raises(PortraitError, match=r"63 x 200.*at least 64"):
        read_portrait(encoded(plain(size=(63, 200))), 64)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animated(format: str) -> None:
    first, second = plain(color=(255, 0, 0)), plain(color=(0, 0, 255))
    data = encoded(first, format, save_all=True, append_images=[second])
    with pytest.raises(PortraitError, match="animated"):
        read_portrait(data, 64)


@pytest.mark.parametrize("data", [b"", b"hello", b"<svg></svg>", b"%PDF-1.4", bytes(100)])
def test_no_picture(data: bytes) -> None:
    with pytest.raises(PortraitError, match="expected a PNG"):
        read_portrait(data, 64)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_cut_off(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8)
    data = encoded(Pillow.fromarray(noise), format)
    with pytest.raises(PortraitError):
        read_portrait(data[: len(data) // 2], 64)


def test_a_spoilt_file_is_refused_or_read_but_never_raises_otherwise() -> None:
    rng = np.random.default_rng(1)
    for format in ("PNG", "JPEG", "GIF", "WEBP"):
        good = bytearray(encoded(plain(color=(9, 8, 7)), format))
        for _ in range(30):
            data = bytearray(good)
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
            try:
                assert read_portrait(bytes(data), 16).shape == (16, 16, 3)
            except PortraitError:
                continue


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(plain()))
    assert read_portrait_file(path, 32).shape == (32, 32, 3)
    with pytest.raises(PortraitError, match=r"b\.png cannot be read"):
        read_portrait_file(tmp_path / "b.png", 32)
    with pytest.raises(PortraitError, match="cannot be read"):
        read_portrait_file(tmp_path, 32)


def test_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="portrait size 0"):
        read_portrait(encoded(plain()), 0)

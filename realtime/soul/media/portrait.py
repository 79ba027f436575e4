"""An uploaded picture → the RGB portrait that the model takes; strict about bad input.

Knows no model and no network: bytes in, array out. Nothing is decoded before its size is known.
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from soul.media.packets import Image


class PortraitError(Exception):
    """One sentence: what is wrong with the picture and what was expected."""


@dataclass(frozen=True, slots=True)
class PortraitLimits:
    """What is accepted, and how it is cut. `backdrop` lies behind transparent pixels."""

    max_bytes: int = 8 * 1024 * 1024
    max_pixels: int = 40_000_000
    min_side: int = 64  # pixels
    backdrop: tuple[int, int, int] = (226, 224, 220)
    crop_height: float = 0.35  # 0 keeps the top of a tall picture, 1 the bottom, 0.5 the middle


_LIMITS = PortraitLimits()
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # GIF and WebP with one picture only
_EXPECTED = "expected a PNG, JPEG, WebP, GIF, BMP or TIFF picture"


def read_portrait(
    data: bytes, size: int | tuple[int, int], limits: PortraitLimits = _LIMITS
) -> Image:
    """`data` of an image file → uint8 [height, width, 3] RGB; PortraitError if it is no good.

    `size` is height and width, or a square's side. Turned as EXIF says, composited over a soft
    backdrop if it is transparent, cut to the largest part of that shape (slightly above the middle,
    where faces are) and resized with Lanczos' filter.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"portrait size {size}: expected at least 1 pixel")
    if len(data) > limits.max_bytes:
        raise PortraitError(
            f"The picture has {len(data)} bytes: expected {limits.max_bytes} at most."
        )
    try:
        with warnings.catch_warnings():
            # Pillow's own alarm about large pictures: ours comes first and is stricter.
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            with Pillow.open(io.BytesIO(data), formats=_FORMATS) as opened:
                _check(opened, limits)
                return _cut(_rgb(opened, limits), height, width, limits)
    except UnidentifiedImageError as error:
        raise PortraitError(f"{len(data)} bytes are no picture: {_EXPECTED}.") from error
    except Pillow.DecompressionBombError as error:
        most = limits.max_pixels // 1_000_000
        raise PortraitError(
            f"The picture is too large ({error}): expected {most} million pixels at most."
        ) from error
    except _PILLOW_ERRORS as error:
        raise PortraitError(f"The picture cannot be decoded ({error}): {_EXPECTED}.") from error


def read_portrait_file(
    path: Path, size: int | tuple[int, int], limits: PortraitLimits = _LIMITS
) -> Image:
    """As `read_portrait`, from a file; PortraitError if it cannot be read."""
    return read_portrait(portrait_bytes(path, limits), size, limits)


def portrait_bytes(path: Path, limits: PortraitLimits = _LIMITS) -> bytes:
    """A file's bytes, at most one more than a portrait may have: `read_portrait` counts them.

    PortraitError if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(limits.max_bytes + 1)
    except OSError as error:
        raise PortraitError(
            f"Portrait {path} cannot be read ({error.strerror}): expected a picture file."
        ) from error


# What Pillow's decoders raise on broken files, beside UnidentifiedImageError (an OSError).
_PILLOW_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    MemoryError,
)


def _check(opened: Pillow.Image, limits: PortraitLimits) -> None:
    width, height = opened.size
    if width * height > limits.max_pixels:
        raise PortraitError(
            f"The picture has {width} x {height} pixels: "
            f"expected {limits.max_pixels // 1_000_000} million at most."
        )
    if min(width, height) < limits.min_side:
        raise PortraitError(
            f"The picture has {width} x {height} pixels: "
            f"expected at least {limits.min_side} x {limits.min_side}."
        )
    if opened.format != "MPO" and _has_second_frame(opened):  # MPO: a photo with its preview
        raise PortraitError(f"The {opened.format} picture is animated: expected a still one.")


def _has_second_frame(opened: Pillow.Image) -> bool:
    try:
        opened.seek(1)
    except EOFError:
        return False
    return True


def _rgb(opened: Pillow.Image, limits: PortraitLimits) -> Pillow.Image:
    """Any mode → RGB, upright."""
    upright = ImageOps.exif_transpose(opened)
    if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
        upright = _eight_bits(upright)
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    with_alpha = upright.convert("RGBA")
    backdrop = Pillow.new("RGBA", with_alpha.size, (*limits.backdrop, 255))
    return Pillow.alpha_composite(backdrop, with_alpha).convert("RGB")


def _eight_bits(picture: Pillow.Image) -> Pillow.Image:
    """16 bits or floating point grey → 8 bits; Pillow alone would cut them off."""
    values = np.asarray(picture, dtype=np.float64)
    top = 1.0 if picture.mode == "F" and values.max() <= 1 else 65535.0
    if picture.mode in ("I", "F") and 1 < values.max() <= 255:
        top = 255.0
    return Pillow.fromarray((np.clip(values / top, 0, 1) * 255 + 0.5).astype(np.uint8))


def _cut(picture: Pillow.Image, height: int, width: int, limits: PortraitLimits) -> Image:
    across = min(picture.width, picture.height * width // height)
    down = min(picture.height, picture.width * height // width)
    left = (picture.width - across) // 2
    upper = int((picture.height - down) * limits.crop_height)
    box = (left, upper, left + across, upper + down)
    resized = picture.resize((width, height), Pillow.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    return np.asarray(resized, dtype=np.uint8).copy()

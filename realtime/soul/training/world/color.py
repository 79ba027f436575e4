"""Colours as an illustrator mixes them. Knows nothing of faces or of any canvas."""

from typing import TypeAlias

Rgb: TypeAlias = tuple[float, float, float]  # sRGB, each 0 .. 1

WHITE: Rgb = (1.0, 1.0, 1.0)
WARM_LIGHT: Rgb = (1.0, 0.93, 0.82)


def rgb(code: str) -> Rgb:
    """A colour from six hexadecimal digits."""
    if len(code) != 6:
        raise ValueError(f"colour {code!r} must be six hexadecimal digits")
    return (int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255)


def mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    """`a` at share 0, `b` at share 1."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def times(a: Rgb, b: Rgb) -> Rgb:
    """Glaze `a` with the filter `b`."""
    return (a[0] * b[0], a[1] * b[1], a[2] * b[2])


def light(a: Rgb, share: float) -> Rgb:
    """Towards warm light."""
    return mix(a, WARM_LIGHT, share)


def shadow(a: Rgb, share: float) -> Rgb:
    """Towards a warm shadow: blue and green go first, so skin never turns grey."""
    return mix(a, times(a, (0.56, 0.36, 0.38)), share)


def cool(a: Rgb, share: float) -> Rgb:
    """Towards the cool shadow of cloth and hair."""
    return mix(a, times(a, (0.36, 0.36, 0.5)), share)


def luma(a: Rgb) -> float:
    """Perceived lightness, 0 .. 1 (Rec. 709 weights on sRGB values)."""
    return 0.2126 * a[0] + 0.7152 * a[1] + 0.0722 * a[2]

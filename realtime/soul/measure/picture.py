"""Pictures against pictures, and how sharp one is. Arrays in, numbers out; numpy alone.

Pictures are uint8 [..., H, W, 3] in sRGB. Sources: SSIM after Wang et al. 2004 (Gaussian window of
11 pixels, sigma 1.5, K1 0.01, K2 0.03, on luma); CIEDE2000 after Sharma, Wu, Dalal 2005.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Plane = NDArray[np.float64]
_LUMA = np.array([0.299, 0.587, 0.114])  # BT.601


def psnr(first: ArrayLike, second: ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB over all values; inf for equal pictures."""
    a, b = _pair(first, second)
    error = float(np.mean(np.square(a - b)))
    return 10.0 * float(np.log10(255.0**2 / error)) if error > 0 else float("inf")


def ssim(first: ArrayLike, second: ArrayLike) -> float:
    """Mean structural similarity of the luma of two pictures of at least 11x11; 1 for equal ones.

    Raises ValueError if the shapes differ or the pictures are smaller than the window.
    """
    a, b = (_luma(picture) for picture in _pair(first, second))
    if min(a.shape[-2:]) < 11:
        raise ValueError(f"pictures are {a.shape[-2:]}, expected at least (11, 11)")
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    shared = _blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    likeness = (2 * mean_a * mean_b + c1) * (2 * shared + c2)
    return float(np.mean(likeness / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


def sharpness(picture: ArrayLike) -> float:
    """Standard deviation of the luma's Laplacian in grey levels: 0 for flat, less when blurred."""
    y = _luma(np.asarray(picture, np.float64))
    inner = y[..., 1:-1, 1:-1]
    around = y[..., :-2, 1:-1] + y[..., 2:, 1:-1] + y[..., 1:-1, :-2] + y[..., 1:-1, 2:]
    return float(np.std(around - 4.0 * inner))


def unmoved(pictures: ArrayLike, change: int = 2) -> NDArray[np.bool_]:
    """[H, W]: where no channel of `pictures` uint8 [T, H, W, 3] changes by more than `change`."""
    seen = np.asarray(pictures, np.int16)
    return np.asarray((seen.max(0) - seen.min(0)).max(-1) <= change)


def smudged(
    pictures: ArrayLike, wanted: ArrayLike, where: NDArray[np.bool_], off: int = 16
) -> float:
    """Share of pixels `where` [H, W], over all of `pictures` [T, H, W, 3], that are wrong.

    Wrong is more than `off` grey levels from `wanted` [H, W, 3] in a channel; nan without pixels.
    """
    error = np.asarray(pictures, np.int16)[:, where] - np.asarray(wanted, np.int16)[where]
    return float(np.mean(np.abs(error).max(-1) > off)) if where.any() else float("nan")


def delta_e2000(
    first: ArrayLike, second: ArrayLike, where: NDArray[np.bool_] | None = None
) -> float:
    """Mean colour difference CIEDE2000 of two pictures; about 1 is just noticeable.

    Pixel by pixel, over those `where` [H, W] if given; nan without pixels.
    """
    a, b = (_picked(picture, where) for picture in _pair(first, second))
    return float(np.mean(ciede2000(lab(a), lab(b)))) if a.size else float("nan")


def tint_e2000(
    first: ArrayLike, second: ArrayLike, where: NDArray[np.bool_] | None = None
) -> float:
    """CIEDE2000 of the mean colours of two pictures, which a shift of what they show leaves alone.

    Over the pixels `where` [H, W] if given; nan without pixels.
    """
    a, b = (lab(_picked(picture, where)).reshape(-1, 3) for picture in _pair(first, second))
    return float(ciede2000(a.mean(0), b.mean(0))) if a.size else float("nan")


def _picked(picture: Plane, where: NDArray[np.bool_] | None) -> Plane:
    """The pixels `where` says, [n, 3], or the picture as it is."""
    return picture if where is None else picture[..., where, :]


def lab(picture: ArrayLike) -> Plane:
    """sRGB values 0 .. 255 [..., 3] → CIE L*a*b* under D65 [..., 3]."""
    c = np.asarray(picture, np.float64) / 255.0
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        (
            (0.4124564, 0.3575761, 0.1804375),
            (0.2126729, 0.7151522, 0.0721750),
            (0.0193339, 0.1191920, 0.9503041),
        )
    )
    xyz = linear @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    parts = [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])]
    return np.stack(parts, axis=-1)


def ciede2000(first: Plane, second: Plane) -> Plane:
    """CIEDE2000 of L*a*b* colours [..., 3] and [..., 3] → [...]; all weights are 1."""
    l1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    stretch = 1.5 - 0.5 * _seventh(0.5 * (np.hypot(a1, b1) + np.hypot(a2, b2)))
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1 = np.degrees(np.arctan2(b1, stretch * a1)) % 360.0
    h2 = np.degrees(np.arctan2(b2, stretch * a2)) % 360.0
    grey = c1 * c2 == 0
    turn = np.where(grey, 0.0, (h2 - h1 + 180.0) % 360.0 - 180.0)
    hue = np.where(grey, h1 + h2, _mean_hue(h1, h2))
    delta_h = 2.0 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    return _weighed(l2 - l1, c2 - c1, delta_h, 0.5 * (l1 + l2), 0.5 * (c1 + c2), hue)


def _weighed(dl: Plane, dc: Plane, dh: Plane, light: Plane, chroma: Plane, hue: Plane) -> Plane:
    """The last part of Sharma et al., equations 15 to 22: differences → one distance."""
    t = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue)
    t += 0.32 * _cos(3 * hue + 6) - 0.20 * _cos(4 * hue - 63)
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    angle = 60.0 * np.exp(-(((hue - 275) / 25) ** 2))
    rotation = -2.0 * _seventh(chroma) * np.sin(np.radians(angle))
    squares = (dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2
    total = squares + rotation * (dc / sc) * (dh / sh)
    return np.asarray(np.sqrt(np.maximum(total, 0.0)))


def _seventh(chroma: Plane) -> Plane:
    return np.asarray(np.sqrt(chroma**7 / (chroma**7 + 25.0**7)))


def _mean_hue(h1: Plane, h2: Plane) -> Plane:
    far = np.abs(h1 - h2) > 180.0
    return np.asarray((0.5 * (h1 + h2 + 360.0 * far)) % 360.0)


def _cos(degrees: Plane) -> Plane:
    return np.asarray(np.cos(np.radians(degrees)))


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[Plane, Plane]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.shape[-1:] != (3,):
        raise ValueError(f"pictures are {a.shape} and {b.shape}, expected equal [..., H, W, 3]")
    return a, b


def _luma(picture: Plane) -> Plane:
    return np.asarray(picture @ _LUMA)


def _blur(plane: Plane) -> Plane:
    """Gaussian window of 11 pixels over the last two axes, without the border."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    height, width = plane.shape[-2] - 10, plane.shape[-1] - 10
    rows = sum(w * plane[..., i : i + height, :] for i, w in enumerate(window))
    return np.asarray(sum(w * rows[..., i : i + width] for i, w in enumerate(window)))

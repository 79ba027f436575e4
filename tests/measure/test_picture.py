"""Known answers for the measures of pictures."""

import numpy as np
import pytest

from soul.measure.picture import (
    ciede2000,
    delta_e2000,
    lab,
    psnr,
    sharpness,
    smudged,
    ssim,
    tint_e2000,
    unmoved,
)

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def test_what_moves_is_left_out() -> None:
    film = np.repeat(NOISE[None].astype(np.int16) // 2, 3, 0)
    film[1, :, 16:] += 2
    film[2, :8] += 3
    assert np.array_equal(unmoved(film), np.arange(32)[:, None].repeat(32, 1) >= 8)


def test_smudges_are_counted_where_they_are_asked_for() -> None:
    film = np.full((2, 8, 8, 3), 100, np.uint8)
    film[0, 0, 0, 1], film[0, 7, 7], film[1, 1, 1] = 117, 0, 116
    where = np.zeros((8, 8), np.bool_)
    where[:2] = True
    assert smudged(film, np.full((8, 8, 3), 100, np.uint8), where) == pytest.approx(1 / 32)
    assert np.isnan(smudged(film, film[0], np.zeros((8, 8), np.bool_)))


def test_psnr_of_a_known_error() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(grey, grey + 1) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(grey, grey) == float("inf")
    assert psnr(grey, np.full((4, 4, 3), 90, np.uint8)) == pytest.approx(28.1308, abs=1e-4)


def test_ssim_of_equal_flat_and_inverted_pictures() -> None:
    assert ssim(NOISE, NOISE) == pytest.approx(1.0)
    assert ssim(NOISE, 255 - NOISE) < 0
    flat = (np.full((16, 16, 3), value, np.uint8) for value in (100, 120))
    # without structure, what is left is (2ab + c1) / (a² + b² + c1)
    assert ssim(*flat) == pytest.approx((24_000 + 6.5025) / (24_400 + 6.5025))


def test_ssim_takes_a_batch() -> None:
    other = NOISE[::-1]
    both = ssim(np.stack([NOISE, NOISE]), np.stack([NOISE, other]))
    assert both == pytest.approx(0.5 * (1.0 + ssim(NOISE, other)))


def test_small_or_unequal_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least"):
        ssim(NOISE[:8], NOISE[:8])
    with pytest.raises(ValueError, match="expected equal"):
        psnr(NOISE, NOISE[:8])


def test_blur_is_less_sharp() -> None:
    soft = (NOISE[:-1] // 2 + NOISE[1:] // 2).astype(np.uint8)
    assert sharpness(soft) < 0.8 * sharpness(NOISE)
    assert sharpness(np.full((8, 8, 3), 77, np.uint8)) == pytest.approx(0.0, abs=1e-9)


def test_lab_of_white_and_red() -> None:
    assert lab(np.array([255, 255, 255])) == pytest.approx(np.array([100, 0, 0]), abs=0.02)
    assert lab(np.array([255, 0, 0])) == pytest.approx(np.array([53.24, 80.09, 67.20]), abs=0.02)


@pytest.mark.parametrize(  # rows of table 1 of Sharma, Wu, Dalal 2005
    ("first", "second", "distance"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_ciede2000_of_the_published_pairs(
    first: tuple[float, ...], second: tuple[float, ...], distance: float
) -> None:
    assert ciede2000(np.array(first), np.array(second)) == pytest.approx(distance, abs=1e-4)
    assert ciede2000(np.array(second), np.array(first)) == pytest.approx(distance, abs=1e-4)


def test_colour_distance_of_equal_pictures_is_zero() -> None:
    assert delta_e2000(NOISE, NOISE) == pytest.approx(0.0, abs=1e-9)


def test_colour_distance_is_counted_where_it_is_asked_for() -> None:
    first = np.full((8, 8, 3), 100, np.uint8)
    second = first.copy()
    second[:2] = 140
    where = np.zeros((8, 8), np.bool_)
    where[:4] = True
    whole = delta_e2000(first[:2], second[:2])
    assert delta_e2000(first, second, where) == pytest.approx(whole / 2)
    assert delta_e2000(first, second, ~where) == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(delta_e2000(first, second, np.zeros((8, 8), np.bool_)))


def test_a_shift_changes_no_tint_and_a_new_light_does() -> None:
    assert delta_e2000(NOISE, np.roll(NOISE, 4, 1)) > 5
    assert tint_e2000(NOISE, np.roll(NOISE, 4, 1)) == pytest.approx(0.0, abs=1e-6)
    grey = np.full((8, 8, 3), 100, np.uint8)
    assert tint_e2000(grey, grey + 40) == pytest.approx(delta_e2000(grey, grey + 40))
    assert np.isnan(tint_e2000(grey, grey, np.zeros((8, 8), np.bool_)))

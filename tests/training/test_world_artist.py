"""Drawn people: same draws, same pixels; every channel shows; flow warps one frame into another."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from soul.training.motion import COLUMN, neutral
from soul.training.world import Artist, Identity, draw_identity, flow, regions

Image = NDArray[np.uint8]


def _row(**channels: float) -> NDArray[np.float32]:
    row: NDArray[np.float32] = neutral(1)[0]
    for name, value in channels.items():
        row[COLUMN[name]] = value
    return row


def _change(a: Image, b: Image, box: tuple[float, float, float, float]) -> float:
    x0, y0, x1, y1 = (round(v) for v in box)
    return float(np.abs(a[y0:y1, x0:x1].astype(float) - b[y0:y1, x0:x1]).mean())


@pytest.fixture(scope="module")
def who() -> Identity:
    return draw_identity(np.random.default_rng(14))


@pytest.fixture(scope="module")
def artist(who: Identity) -> Artist:
    return Artist(who)


def test_same_seed_same_person_same_pixels(who: Identity) -> None:
    again = draw_identity(np.random.default_rng(14))
    assert again == who
    row = _row(yaw=0.3, mouth_open=0.4)
    artist = Artist(again, 96)
    artist.frame(_row(yaw=-1.0, eye_left=0.0))  # what was drawn before leaves no trace
    assert np.array_equal(artist.frame(row), Artist(who, 96).frame(row))


def test_portrait_is_the_neutral_frame(artist: Artist) -> None:
    portrait = artist.portrait()
    assert portrait.shape == (256, 256, 3)
    assert portrait.dtype == np.uint8
    assert np.array_equal(portrait, artist.frame(neutral(1)[0]))


def test_any_size(who: Identity) -> None:
    assert Artist(who, 100).portrait().shape == (100, 100, 3)
    with pytest.raises(ValueError, match="at least 16"):
        Artist(who, 3)


@pytest.mark.parametrize("seed", range(40, 50))
def test_many_people_can_be_drawn(seed: int) -> None:
    portrait = Artist(draw_identity(np.random.default_rng(seed)), 64).portrait()
    assert portrait.std() > 10.0


@pytest.mark.parametrize(
    "channels",
    [
        {"mouth_open": 0.6},
        {"mouth_wide": 1.0},
        {"mouth_wide": -1.0},
        {"lips_press": 1.0},
        {"smile": 1.0},
    ],
)
def test_mouth_channels_move_the_mouth(
    who: Identity, artist: Artist, channels: dict[str, float]
) -> None:
    row = _row(**channels)
    box = regions(who, row, 256).mouth
    assert _change(artist.frame(row), artist.portrait(), box) > 1.0


@pytest.mark.parametrize("channel", ["teeth", "tongue"])
def test_teeth_and_tongue_show_in_an_open_mouth(
    who: Identity, artist: Artist, channel: str
) -> None:
    shut, opened = _row(mouth_open=0.0), _row(mouth_open=0.7)
    shut_with, open_with = shut.copy(), opened.copy()
    shut_with[COLUMN[channel]] = open_with[COLUMN[channel]] = 1.0
    box = regions(who, opened, 256).mouth
    assert _change(artist.frame(open_with), artist.frame(opened), box) > 0.5
    assert np.array_equal(artist.frame(shut_with), artist.frame(shut))


def test_eyes_are_the_persons_own(who: Identity, artist: Artist) -> None:
    boxes = regions(who, neutral(1)[0], 256)
    assert boxes.eye_left[0] > boxes.eye_right[2]
    wink = artist.frame(_row(eye_left=0.0))
    assert _change(wink, artist.portrait(), boxes.eye_left) > 5.0
    assert _change(wink, artist.portrait(), boxes.eye_right) == 0.0


def test_mouth_region_holds_the_open_mouth(who: Identity, artist: Artist) -> None:
    row = _row(mouth_open=1.0)
    x0, y0, x1, y1 = regions(who, row, 256).mouth
    frame = artist.frame(row).astype(int)
    # the inner mouth is the only dark red below the nose
    dark = (frame.sum(-1) < 180) & (np.arange(256)[:, None] > who.face.nose_y + 8)
    dark &= np.abs(np.arange(256)[None] - 128) < 36
    dark &= np.arange(256)[:, None] < who.face.chin_y
    rows, columns = np.nonzero(dark)
    assert len(rows) > 300
    assert rows.min() > y0
    assert rows.max() < y1
    assert columns.min() > x0
    assert columns.max() < x1


@pytest.mark.parametrize(
    "channels", [{"yaw": 1.0}, {"pitch": -1.0}, {"roll": 0.7}, {"yaw": -0.6, "jaw": 0.5}]
)
def test_flow_warps_the_portrait_into_the_frame(
    who: Identity, artist: Artist, channels: dict[str, float]
) -> None:
    row = _row(**channels)
    portrait, frame = artist.portrait().astype(float), artist.frame(row).astype(float)
    y, x = np.mgrid[0:256, 0:256]
    shift = flow(who, row, 256)
    at = [y + shift[..., 1], x + shift[..., 0]]
    warped = np.stack(
        [map_coordinates(portrait[..., c], at, order=1, mode="nearest") for c in range(3)], -1
    )
    head = np.s_[30:200, 60:196]
    assert np.abs(warped - frame)[head].mean() < 0.5 * np.abs(portrait - frame)[head].mean()

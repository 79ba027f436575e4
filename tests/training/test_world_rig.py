"""The drawn world's rig: the identity at rest, an exact inverse, a still background."""

import numpy as np
import pytest
from numpy.typing import NDArray

from soul.training.motion import CHANNELS, COLUMN, neutral
from soul.training.world import Identity, Rig, draw_identity, flow

SIZE = 64


@pytest.fixture
def who() -> Identity:
    return draw_identity(np.random.default_rng(3))


def _row(**channels: float) -> NDArray[np.float32]:
    row: NDArray[np.float32] = neutral(1)[0]
    for name, value in channels.items():
        row[COLUMN[name]] = value
    return row


def _grid(size: int) -> NDArray[np.float32]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (256.0 / size)
    return np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)


def test_neutral_row_moves_nothing(who: Identity) -> None:
    assert np.allclose(Rig(who).map(_grid(SIZE), neutral(1)[0]), _grid(SIZE), atol=1e-4)
    assert np.allclose(flow(who, neutral(1)[0], SIZE), 0.0, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_flow_inverts_the_map(who: Identity, seed: int) -> None:
    row = np.random.default_rng(seed).uniform(-1, 1, len(CHANNELS)).astype(np.float32)
    row[COLUMN["mouth_open"]] = abs(row[COLUMN["mouth_open"]])
    row[COLUMN["jaw"]] = abs(row[COLUMN["jaw"]])
    source = _grid(SIZE) + flow(who, row, SIZE).reshape(-1, 2) * (256.0 / SIZE)
    assert np.abs(Rig(who).map(source, row) - _grid(SIZE)).max() < 0.5


def test_flow_scales_with_size(who: Identity) -> None:
    row = _row(yaw=1.0, pitch=0.5)
    coarse, fine = flow(who, row, 32), flow(who, row, 64)
    pooled = fine.reshape(32, 2, 32, 2, 2).mean((1, 3)) / 2.0
    assert np.abs(pooled - coarse).max() < 0.05


def test_background_stays_and_nose_leads(who: Identity) -> None:
    rig, row = Rig(who), _row(yaw=1.0)
    corner, nose, cheek = rig.map(np.asarray([(2, 2), (128, 136), (170, 140)], np.float32), row)
    assert abs(corner[0] - 2) < 0.5
    assert 128 - nose[0] > 170 - cheek[0] > 5.0
    assert 10.0 < 128 - nose[0] < 18.0


def test_map_is_smooth_and_never_folds(who: Identity) -> None:
    row = _row(yaw=1.0, pitch=-1.0, roll=1.0, jaw=1.0, mouth_open=1.0, mouth_wide=-1.0, smile=1.0)
    moved = Rig(who).map(_grid(128), row).reshape(128, 128, 2)
    assert np.diff(moved[..., 0], axis=1).min() > 0.0
    assert np.diff(moved[..., 1], axis=0).min() > 0.0


def test_breath_lifts_shoulders_only(who: Identity) -> None:
    shoulder, brow = Rig(who).map(np.asarray([(60, 246), (128, 80)], np.float32), _row(breath=1.0))
    assert 246 - shoulder[1] == pytest.approx(3.0, abs=0.3)
    assert brow[1] == pytest.approx(80.0, abs=0.05)


def test_jaw_drops_the_chin(who: Identity) -> None:
    chin = np.asarray([(128, who.face.chin_y)], np.float32)
    drop = Rig(who).map(chin, _row(jaw=1.0))[0, 1] - who.face.chin_y
    assert 6.0 < drop < 12.0

"""The channels that a face moves by."""

import numpy as np

from soul.training.motion import CHANNELS, COLUMN, neutral


def test_every_channel_has_its_own_column() -> None:
    assert len(set(CHANNELS)) == len(CHANNELS) == 17
    assert [CHANNELS[column] for column in COLUMN.values()] == list(COLUMN)


def test_a_face_at_rest_has_open_eyes_and_a_closed_mouth() -> None:
    rest = neutral(3)
    assert rest.shape == (3, 17)
    assert rest.dtype == np.float32
    open_ = {name for name, column in COLUMN.items() if (rest[:, column] == 1).all()}
    assert open_ == {"eye_left", "eye_right"}
    assert rest.sum() == 6


def test_rests_are_not_shared() -> None:
    neutral(1)[:] = 9
    assert neutral(1).sum() == 2

"""The report's figures on made-up takes: a perfect one, a late one, a frozen one."""

import numpy as np
import pytest

from soul.training.evaluate import Trial, report
from soul.training.motion import COLUMN, neutral

FRAMES = 200


def take(late: int = 0, gain: float = 1.0) -> Trial:
    """A mouth that opens and closes, then 50 silent frames; read `late` frames late."""
    motion = neutral(FRAMES)
    opening = np.abs(np.sin(np.arange(FRAMES) * 0.37)).astype(np.float32)
    opening[150:] = 0
    motion[:, COLUMN["mouth_open"]] = opening
    silent = np.arange(FRAMES) >= 155
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    read = np.roll(opening, late) * gain
    pictures = np.repeat(picture[None], 2, 0)
    eyes = np.ones(FRAMES, np.float32)
    eyes[80:84] = 0.1
    still = np.zeros((64, 64), np.bool_)
    still[:32] = True
    return Trial(pictures, picture, motion, silent, read, eyes, eyes, opening, still)


def test_a_perfect_take() -> None:
    figures = report([take()])
    assert figures.mouth_correlation == pytest.approx(1.0)
    assert figures.mouth_lags == (0,)
    assert figures.closed_in_silence == 1.0
    assert figures.still_psnr == float("inf")
    assert (figures.blinks_a_minute, figures.blinks_shown) == (7.5, 1.0)


def test_smudges_count_where_nothing_should_move() -> None:
    smeared = take()
    smeared.pictures[0, 24:40] = 255 - smeared.truth[24:40]  # 8 of the 32 rows that never move
    smeared.pictures[1, 40:] = 0
    figures = report([smeared])
    assert figures.smudged == pytest.approx(0.125, abs=0.02)
    assert report([take()]).smudged_in_last_second == 0


def test_a_late_mouth_is_called_late() -> None:
    assert report([take(late=2)]).mouth_lags == (2,)


def test_a_frozen_mouth_does_not_correlate() -> None:
    assert report([take(gain=0.0)]).mouth_correlation == pytest.approx(0.0, abs=1e-6)


def test_takes_without_speech_are_refused() -> None:
    quiet = take()
    quiet.motion[:, COLUMN["mouth_open"]] = 0
    with pytest.raises(ValueError, match="no take has speech"):
        report([quiet])

"""The figures on takes of known answers: perfect ones, and ones broken on purpose."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from made_takes import BLINKS, CLEAN, CLOSURES, FRAMES, frozen, made_take, made_takes, seen
from soul.training.figures import Figures, Trial, figures, histogram, report, row_of


def figures_of(trial: Trial) -> Figures:
    return figures(made_takes(trial))


def differing(trial: Trial) -> set[str]:
    """Which figures of a broken take are not those of a perfect one."""
    perfect, broken = asdict(figures_of(made_take())), asdict(figures_of(trial))
    return {name for name in perfect if not np.array_equal(perfect[name], broken[name])}


def test_a_perfect_take() -> None:
    found = figures_of(made_take())
    assert found.mouth_correlation == pytest.approx(1.0)
    assert found.mouth_lags == (0,)
    assert found.mouth_lag_histogram == {0: 5}
    assert found.mouth_width_correlation == pytest.approx(1.0)
    assert found.bilabials_closed == 1.0
    assert found.any_spoken_frame_closed < 0.3
    assert found.closed_in_silence == found.closed_in_silence_music == 1.0
    assert found.blinks_a_minute == 15.0
    assert found.blink_irregularity == pytest.approx(np.std([90, 50, 130]) / 90)
    assert found.longest_stare_seconds == pytest.approx(130 / 25)
    assert found.brows_follow_pitch > 0.95
    assert found.nods_follow_loudness > 0.95
    assert found.gaze_motion == pytest.approx(0.5, abs=0.02)


def test_a_mouth_late_by_three_frames() -> None:
    late = seen(made_take(), mouth_open=np.roll(made_take().truth.mouth_open, 3))
    found = figures_of(late)
    assert found.mouth_lags == (3,)
    assert found.mouth_lag_frames == 3.0
    assert set(found.mouth_lag_histogram) == {3}
    assert found.mouth_correlation > 0.95
    assert found.bilabials_closed == 0.0  # 120 ms are too late
    assert found.closed_in_silence == 1.0


def test_a_shut_mouth_is_closed_everywhere_and_right_nowhere() -> None:
    found = figures_of(seen(made_take(), mouth_open=np.zeros(FRAMES, np.float32)))
    assert found.mouth_correlation == 0.0
    assert (found.bilabials_closed, found.any_spoken_frame_closed) == (1.0, 1.0)
    assert found.closed_in_silence == 1.0


def test_a_mouth_that_is_open_in_silence() -> None:
    whole = made_take()
    gaping = np.where(whole.silent, np.float32(0.3), whole.truth.mouth_open)
    found = figures_of(seen(whole, mouth_open=gaping))
    under = (found.closed_in_silence_clean, found.closed_in_silence_room_noise)
    assert (found.closed_in_silence, *under) == (0.0, 0.0, 0.0)
    assert (found.closed_in_silence_keyboard, found.closed_in_silence_music) == (0.0, 0.0)
    assert found.bilabials_closed == 1.0


def test_eyes_that_never_blink() -> None:
    staring = seen(made_take(), eye_open=np.ones(FRAMES, np.float32))
    found = figures_of(staring)
    assert found.blinks_a_minute == 0.0
    assert found.longest_stare_seconds == 16.0
    assert np.isnan(found.blink_irregularity)
    assert report(made_takes(staring), found).blinks_shown == 0.0
    assert differing(staring) <= {
        *("blinks_a_minute", "longest_stare_seconds", "blink_irregularity", "gaze_motion"),
    }


def test_lips_of_the_wrong_shape() -> None:
    rounded = seen(made_take(), mouth_wide=-made_take().truth.mouth_wide)
    assert figures_of(rounded).mouth_width_correlation == pytest.approx(-1.0)
    assert differing(rounded) == {"mouth_width_correlation"}


def test_a_frozen_face_has_no_life() -> None:
    found = figures_of(replace(made_take(), seen=frozen(made_take())))
    assert (found.gaze_motion, found.brow_motion, found.head_motion) == (0.0, 0.0, 0.0)
    assert (found.brows_follow_pitch, found.nods_follow_loudness) == (0.0, 0.0)


def test_the_ceiling_is_what_is_read_from_renders() -> None:
    takes = made_takes(replace(made_take(), seen=frozen(made_take())))
    ceiling = figures(takes.of_renders())
    assert asdict(ceiling) == asdict(figures_of(made_take()))
    told = report(takes, ceiling)
    assert told.probe_correlation_on_renders == pytest.approx(1.0)
    assert told.probe_closed_in_silence_on_renders == 1.0


def test_what_takes_do_not_have_is_not_a_number() -> None:
    whole = made_take()
    never = np.zeros(0, np.int64)
    bare = replace(whole, silent=np.zeros(FRAMES, np.bool_), closures=never)
    takes = replace(made_takes(bare), hushes=())
    found = figures(takes)
    assert np.isnan(found.closed_in_silence)
    assert np.isnan(found.closed_in_silence_keyboard)
    assert np.isnan(found.bilabials_closed)
    short = replace(takes, trials=(made_take(frames=350),))
    short = replace(short, stare=replace(takes.stare, seen=np.ones(350, np.float32)))
    assert np.isnan(figures(short).longest_stare_seconds)


def test_takes_without_speech_are_refused_and_silent_ones_counted_apart() -> None:
    quiet = replace(made_take(), truth=frozen(made_take()))
    with pytest.raises(ValueError, match="no take has speech among 1"):
        figures_of(quiet)
    mixed = made_takes(made_take(), quiet)
    assert figures(mixed).mouth_lags == (0,)
    assert np.isnan(row_of(2, quiet).mouth_correlation)


def test_the_row_of_a_take_and_the_report() -> None:
    row = row_of(4, made_take("a face"))
    assert (row.take, row.prompt, row.blinks) == (4, "a face", len(BLINKS))
    assert (row.bilabials, row.bilabials_closed) == (len(CLOSURES), 1.0)
    pictures = replace(CLEAN, smudged=0.2, smudged_in_last_second=float("nan"))
    takes = made_takes(made_take(), replace(made_take(), picture=pictures))
    told = report(takes, figures(takes))
    assert (told.trials, told.frames, told.bilabials) == (2, 2 * FRAMES, 2 * len(CLOSURES))
    assert told.silent_frames_under_backgrounds == 4 * (FRAMES - 310)
    assert told.smudged == pytest.approx(0.1)
    assert told.smudged_in_last_second == 0.0
    assert told.seconds_of_longest_take == 16.0


def test_the_histogram_counts_stretches_of_all_takes() -> None:
    early = seen(made_take(), mouth_open=np.roll(made_take().truth.mouth_open, -1))
    assert histogram([made_take(), early]) == {-1: 5, 0: 5}

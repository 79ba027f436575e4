"""Bars are met where they should be, and words are nobody's to meet."""

from dataclasses import asdict, fields

import pytest

from soul.training.bars import BARS, Range, Verdict, as_json, asked, judge, told
from soul.training.figures import SHAPED, Figures

PERFECT: dict[str, object] = {bar.figure: 1.0 for bar in BARS}


def verdict(figure: str, value: float | None) -> Verdict:
    found = judge(PERFECT | {figure: value}, PERFECT)
    return next(one for one in found if one.bar.figure == figure)


def test_the_table_says_which_frames_count_for_the_shape() -> None:
    meaning = next(bar.meaning for bar in BARS if bar.figure == "mouth_width_correlation")
    assert f"{100 * SHAPED:g} % of its widest" in meaning


def test_every_bar_is_of_a_figure_that_there_is() -> None:
    assert {bar.figure for bar in BARS} <= {field.name for field in fields(Figures)}
    assert len({bar.figure for bar in BARS}) == len(BARS)


@pytest.mark.parametrize(
    ("figure", "value", "bar", "goal"),
    [
        ("mouth_correlation", 0.79, False, False),
        ("mouth_correlation", 0.80, True, False),
        ("mouth_correlation", 0.92, True, True),
        ("mouth_lag_frames", -1.0, True, False),
        ("mouth_lag_frames", 1.1, False, False),
        ("mouth_lag_frames", 0.0, True, True),
        ("mouth_width_correlation", 0.7, True, False),
        ("bilabials_closed", 0.94, True, False),
        ("closed_in_silence_music", 0.996, True, True),
        ("closed_in_silence", 0.9799, False, False),
        ("blinks_a_minute", 7.0, False, False),
        ("blinks_a_minute", 22.0, True, False),
        ("blinks_a_minute", 14.0, True, True),
    ],
)
def test_a_value_meets_its_bar(figure: str, value: float, bar: bool, goal: bool) -> None:
    found = verdict(figure, value)
    assert (found.met_bar, found.met_goal) == (bar, goal)


def test_words_and_missing_figures_are_not_judged() -> None:
    assert verdict("gaze_motion", 0.2).met_bar is None
    assert verdict("longest_stare_seconds", 5.0).met_goal is None
    missing = verdict("bilabials_closed", float("nan"))
    assert (missing.value, missing.met_bar, missing.met_goal) == (None, None, None)
    with pytest.raises(KeyError):
        judge({}, PERFECT)


def test_figures_and_ranges_are_told_as_people_read_them() -> None:
    assert told(0.9806, "share") == "98.1 %"
    assert told(-0.5, "frames") == "−0.50 frames"
    assert told(0.798, "correlation") == "0.80"
    assert told(-1.5, "points") == "−1.5 points"
    assert told(None, "seconds") == "—"
    assert asked(Range(-2.0), "points") == "at least −2"
    assert asked(Range(0.995), "share") == "at least 99.5 %"
    assert asked(Range(None, 12.0), "seconds") == "at most 12 s"
    assert asked(Range(-1.0, 1.0), "frames") == "within ± 1"
    assert asked(Range(8.0, 25.0), "a minute") == "8 to 25"
    assert asked("like people", "plain") == "like people"


def test_a_verdict_in_the_report() -> None:
    assert as_json(verdict("mouth_correlation", 0.85)) == {
        "figure": "mouth_correlation",
        "value": 0.85,
        "on_renders": 1.0,
        "bar": "at least 0.8",
        "bar_met": True,
        "goal": "at least 0.92",
        "goal_met": False,
    }
    assert asdict(Range(1.0)) == {"low": 1.0, "high": None}

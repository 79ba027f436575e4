"""What is cut out of a shot, and which videos are not looked at."""

from hypothesis import given
from hypothesis import strategies as st

from soul.data.clips import breaks_off, plan, too_short, too_slow, too_small
from soul.data.config import ClipConfig
from soul.data.source import Source, Span

CONFIG = ClipConfig()


@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=5))
def test_clips_are_as_long_as_they_may_be_and_lie_in_their_shots(lengths: list[int]) -> None:
    shots, at = [], 0
    for length in lengths:
        shots.append(Span(at, length))
        at += length
    found = plan(shots, CONFIG)
    inside: set[int] = set()
    for clip in found.clips:
        assert 100 <= clip.frames <= 125
        frames = set(range(clip.first, clip.first + clip.frames))
        assert any(
            shot.first <= clip.first and clip.first + clip.frames <= shot.first + shot.frames
            for shot in shots
        )
        assert not frames & inside
        inside |= frames
    assert found.short == tuple(shot for shot in shots if shot.frames < 100)


def test_a_long_shot_gives_equal_clips() -> None:
    assert plan([Span(10, 230)], CONFIG).clips == (Span(10, 115), Span(125, 115))
    assert plan([Span(0, 190)], CONFIG).clips == (Span(0, 125),)


def test_objections_name_the_value_and_what_was_expected() -> None:
    small, large = Source(640, 480, 9.0, 25.0, True), Source(720, 1280, 9.0, 12.0, True)
    assert too_small(small, CONFIG) == "640 x 480 pixels; expected more than 480 a side"
    assert too_small(large, CONFIG) is None
    assert too_slow(large, CONFIG) == "12.00 frames/s; expected at least 23"
    assert too_slow(small, CONFIG) is None
    assert too_short(3.9, CONFIG) == "3.90 s; expected at least 4"
    assert too_short(4.0, CONFIG) is None
    assert breaks_off(4.0, small) == "the pictures end after 4.00 of 9.00 s"
    assert breaks_off(8.5, small) is None

"""A face's own motion: causal, irregular, tied to mood and voice, and without jumps."""

import numpy as np
import pytest
from numpy.typing import NDArray

from soul.model.bearing import Bearing, Drift, Voice
from soul.model.cues import CHANNELS
from soul.model.manner import Manner, Mood, mood

SECONDS = 25
Told = NDArray[np.float64]


def borne(
    how: Mood, levels: list[float], seed: int = 3, listening: bool = False, skip: int = SECONDS
) -> Told:
    """[frames, 11] after the first second, in which a stream leaves its portrait."""
    stream = Bearing(seed, how)
    return np.array([stream.next(level, listening) for level in levels])[skip:]


def column(told: Told, name: str) -> Told:
    return np.asarray(told[:, CHANNELS.index(name)])


def syllables(seconds: int) -> list[float]:
    """The level of a voice that stresses three times a second."""
    at = range(seconds * 25)
    return [0.002 + 0.1 * float(np.sin(np.pi * n / 8)) ** 2 for n in at]


def test_a_stream_begins_as_its_portrait() -> None:
    first = borne(mood(Manner("happy", head="nodding")), syllables(1), skip=0)[0]
    moved = np.delete(first, [CHANNELS.index(name) for name in ("lids", "listening", "breath")])
    assert np.abs(moved).max() < 0.02
    assert first[CHANNELS.index("lids")] > 0.98


def test_all_follows_from_the_seed() -> None:
    assert np.array_equal(borne(Mood(), syllables(4)), borne(Mood(), syllables(4)))
    assert not np.array_equal(borne(Mood(), syllables(4)), borne(Mood(), syllables(4), seed=4))


def test_what_will_be_heard_changes_nothing() -> None:
    now, later = syllables(6), syllables(6)
    later[100:] = [0.0] * 50
    a, b = borne(Mood(), now, skip=0), borne(Mood(), later, skip=0)
    assert np.array_equal(a[:100], b[:100])
    assert not np.array_equal(a[100:], b[100:])


@pytest.mark.parametrize(
    ("head", "channel", "gains"),
    [("nodding", "pitch", (1.5, 1.0)), ("shaking", "yaw", (1.0, 1.5))],
)
def test_nods_and_shakes_may_be_told_larger_and_nothing_else(
    head: str, channel: str, gains: tuple[float, float]
) -> None:
    how, quiet = mood(Manner(head=head)), [0.0] * 500
    told = [
        np.array([stream.next(level, False) for level in quiet])
        for stream in (Bearing(3, how), Bearing(3, how, *gains))
    ]
    where = CHANNELS.index(channel)
    assert np.ptp(told[1][:, where]) > 1.3 * np.ptp(told[0][:, where])
    others = np.setdiff1d(range(len(CHANNELS)), [where, CHANNELS.index("gaze_x")])
    assert np.array_equal(told[0][:, others], told[1][:, others])


def test_a_listener_nods_deeper_too() -> None:
    told = [
        np.array([stream.next(0.0, True) for _ in range(1500)])[:, CHANNELS.index("pitch")]
        for stream in (Bearing(3, Mood()), Bearing(3, Mood(), 1.5))
    ]
    assert (told[0] - told[1]).max() > 0.05
    assert (told[0] - told[1]).min() > -1e-9


@pytest.mark.parametrize(
    ("head", "channel"), [("nodding", "pitch"), ("shaking", "yaw"), ("tilting", "roll")]
)
def test_the_head_does_what_it_is_asked_for(head: str, channel: str) -> None:
    quiet = [0.0] * 500
    asked = column(borne(mood(Manner(head=head)), quiet), channel)
    still = column(borne(mood(Manner(head="still")), quiet), channel)
    assert asked.std() > 0.08
    assert asked.std() > 4 * still.std()


def test_faces_differ_by_expression() -> None:
    smiles = {
        name: column(borne(mood(Manner(name)), syllables(8)), "smile").mean()
        for name in ("happy", "neutral", "sad")
    }
    assert smiles["happy"] > smiles["neutral"] + 0.4 > smiles["sad"] + 0.8
    raised = column(borne(mood(Manner("surprised")), syllables(8)), "brow_left").mean()
    lowered = column(borne(mood(Manner("angry")), syllables(8)), "brow_left").mean()
    assert raised > 0.6
    assert lowered < -0.5


def test_eyes_go_where_the_mood_has_them() -> None:
    quiet = [0.0] * 1000
    down = column(borne(mood(Manner(gaze="down")), quiet), "gaze_y")
    viewer = column(borne(mood(Manner(gaze="viewer")), quiet), "gaze_y")
    assert np.median(down) < -0.4
    assert abs(np.median(viewer)) < 0.05
    away = borne(mood(Manner(gaze="away", head="still")), quiet)
    aside = column(away, "gaze_x")[np.abs(column(away, "gaze_x")) > 0.3]
    assert len(aside) > 500
    assert len(set(np.sign(aside))) == 1  # averted eyes stay at one side


def test_the_voice_moves_head_and_brows() -> None:
    spoken, quiet = borne(Mood(), syllables(30)), borne(Mood(), [0.0] * 750)
    for name in ("pitch", "brow_left"):
        assert column(spoken, name).std() > 1.15 * column(quiet, name).std()


def test_a_loud_room_is_no_voice() -> None:
    rng, heard = np.random.default_rng(0), Voice()
    for level in 0.03 * (1 + 0.1 * rng.standard_normal(250)):
        heard.next(float(level))
    assert heard.speaking < 0.05


def test_another_mood_arrives_within_a_second_and_without_a_jump() -> None:
    stream = Bearing(5, mood(Manner("sad")))
    before = np.array([stream.next(0.0, False) for _ in range(50)])
    stream.become(mood(Manner("happy")))
    after = np.array([stream.next(0.0, False) for _ in range(50)])
    both = column(np.concatenate((before, after)), "smile")
    assert both[48] < -0.3
    assert both[50 + 20] > 0.5
    assert np.abs(np.diff(both[25:])).max() < 0.2


def test_becoming_what_it_is_changes_nothing() -> None:
    told, again = Bearing(1, Mood()), Bearing(1, Mood())
    again.become(Mood())
    frames = [(told.next(0.1, False), again.next(0.1, False)) for _ in range(30)]
    assert all(a == b for a, b in frames)


def test_a_listener_is_quiet_and_looks_at_the_speaker() -> None:
    asked = mood(Manner(head="shaking", gaze="away"))
    heard = borne(asked, syllables(20), listening=True, skip=75)
    spoken = borne(asked, syllables(20), skip=75)
    assert (column(heard, "listening") == 1).all()
    assert column(heard, "yaw").std() < 0.5 * column(spoken, "yaw").std()
    assert np.abs(column(heard, "gaze_x")).mean() < 0.4 * np.abs(column(spoken, "gaze_x")).mean()


def test_turning_to_listen_is_no_jump() -> None:
    stream = Bearing(2, mood(Manner(head="tilting")))
    told = [stream.next(0.0, 60 <= n < 120) for n in range(180)]
    assert np.abs(np.diff(column(np.array(told)[25:], "roll"))).max() < 0.15


def test_everything_stays_within_what_the_world_draws() -> None:
    wild = mood(Manner("surprised", "lively", "nodding", "wandering"))
    told = borne(wild, syllables(40))
    assert (column(told, "lids") >= 0).all()
    assert np.abs(told).max() <= 1


def test_drift_is_smooth_and_of_unit_deviation() -> None:
    noise = Drift(np.random.default_rng(0), 0.5)
    drawn = np.array([noise.next() for _ in range(20_000)])
    assert drawn.std() == pytest.approx(1.0, abs=0.1)
    assert np.abs(np.diff(drawn)).mean() < 0.15

"""Drift on made-up minutes: none where there is none, found where it is rigged; live minutes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from soul.model.config import SOUL_TEST
from soul.model.sample import Soul, build, cut, open_stream
from soul.model.vae import from_bytes
from soul.training.drift import (
    CHUNKS_A_MINUTE,
    DriftConfig,
    Minute,
    Seen,
    Subject,
    Take,
    Takes,
    drawn_subject,
    figures,
    first_of,
    flat,
    live_minute,
    summary,
    take,
    watched_of,
)
from soul.training.identity import Embedding
from soul.training.probe import Probe
from soul.training.variants import Pulls, Watched
from soul.training.world.parts import Parts

SIZE = 64
SHORT = DriftConfig(seed=4, chunks=12)
FRAMES = 100
SAID = Take(
    np.zeros(640 * FRAMES, np.float32),
    np.abs(np.sin(np.arange(FRAMES) * 0.37)).astype(np.float32) * (np.arange(FRAMES) < 60),
    np.arange(FRAMES) >= 70,
)
QUARTERS = [np.zeros((SIZE, SIZE), np.bool_) for _ in range(4)]
for _number, _mask in enumerate(QUARTERS):
    _mask[16 * _number : 16 * (_number + 1)] = True


@pytest.fixture(scope="module")
def embedding() -> Embedding:
    torch.manual_seed(0)
    return Embedding().eval()


@pytest.fixture(scope="module")
def subject() -> Subject:
    picture = np.random.default_rng(0).integers(60, 180, (SIZE, SIZE, 3), np.uint8)
    return Subject("noise", picture, Parts(*QUARTERS))


def seen(picture: np.ndarray, late: int = 0) -> Seen:
    pictures = np.repeat(picture[None], 5, 0)
    return Seen(pictures, np.roll(SAID.opening, late), Pulls(0.25, 2.0, 0.1), 2.0)


def measured(subject: Subject, embedding: Embedding, shown: list[Seen]) -> list[Minute]:
    first = first_of(shown[0], embedding)
    return [
        figures(number, one, SAID, subject, embedding, first) for number, one in enumerate(shown, 1)
    ]


def test_minutes_that_are_alike_have_not_drifted(subject: Subject, embedding: Embedding) -> None:
    minutes = measured(subject, embedding, [seen(subject.portrait)] * 5)
    for minute in minutes:
        assert minute.identity_distance == pytest.approx(0, abs=1e-6)
        assert minute.identity_distance_to_portrait == pytest.approx(0, abs=1e-6)
        assert set(minute.delta_e) == {"picture", "skin", "hair", "clothes", "background"}
        assert max(minute.delta_e.values()) == pytest.approx(0, abs=1e-9)
        assert max(minute.tint.values()) == pytest.approx(0, abs=1e-9)
        assert minute.lip_correlation == pytest.approx(1)
        assert minute.lip_lag_frames == 0
        assert minute.closed_in_silence == 1
        assert minute.change == 0
        assert (minute.pulled_back, minute.pull_size) == (0.25, 2.0)
        assert (minute.codebook_share, minute.realtime_factor) == (0.05, 0.5)
    found = summary(minutes)
    assert found["last_over_first"] == {"likeness_to_portrait": 1, "sharpness": 1}
    for slope in found["slope_per_hour"].values():
        assert slope["slope"] == pytest.approx(0, abs=1e-6)
        assert not slope["seen"]


def test_a_rigged_drift_is_found_where_it_is(subject: Subject, embedding: Embedding) -> None:
    shown = []
    for number in range(6):
        picture = subject.portrait.copy()
        picture[16:32] -= np.uint8(6 * number)  # the hair grows dark
        shown.append(seen(picture, late=number))
    minutes = measured(subject, embedding, shown)
    last = minutes[-1]
    assert last.tint["hair"] > 5
    assert last.delta_e["hair"] > 5
    assert last.delta_e["skin"] == last.tint["clothes"] == 0
    assert last.identity_distance > minutes[1].identity_distance > 0
    assert last.lip_lag_frames == 5
    slopes = summary(minutes)["slope_per_hour"]
    assert slopes["tint.hair"]["slope"] > 60
    assert slopes["tint.hair"]["seen"]
    assert slopes["identity_distance"]["slope"] > 0
    assert not slopes["tint.background"]["seen"]


def test_a_shorter_minute_has_a_steeper_hour(subject: Subject, embedding: Embedding) -> None:
    minutes = measured(subject, embedding, [seen(subject.portrait, late=n) for n in range(4)])
    whole, tenth = summary(minutes), summary(minutes, CHUNKS_A_MINUTE // 5)
    lag = "lip_lag_frames"
    assert whole["slope_per_hour"][lag]["slope"] == pytest.approx(60)
    assert tenth["slope_per_hour"][lag]["slope"] == pytest.approx(300)


def test_a_portrait_without_parts_has_the_whole_picture_only(
    subject: Subject, embedding: Embedding
) -> None:
    stranger = replace(subject, parts=None)
    minute = measured(stranger, embedding, [seen(subject.portrait)])[0]
    assert set(minute.tint) == {"picture"}
    assert flat(minute)["tint.picture"] == pytest.approx(0, abs=1e-9)


def test_the_drawn_subject_is_its_seeds() -> None:
    first, again, other = (drawn_subject(DriftConfig(seed=seed), SIZE) for seed in (4, 4, 5))
    assert np.array_equal(first.portrait, again.portrait)
    assert not np.array_equal(first.portrait, other.portrait)
    assert first.parts is not None
    assert first.parts.background.any()


def test_somebody_speaks_in_every_minute_and_each_says_something_else() -> None:
    said = [take(SHORT, minute) for minute in range(3)]
    for one in said:
        assert one.pcm.shape == (640 * 48,)
        assert one.opening.shape == one.silent.shape == (48,)
        assert one.opening.std() > 0.05
    assert not np.array_equal(said[0].opening, said[1].opening)


def test_takes_have_no_seam() -> None:
    """The windows are those of the whole sound, cut in one go."""
    takes = Takes(SHORT)
    minutes = [takes.next(SOUL_TEST) for _ in range(3)]
    whole = torch.from_numpy(np.concatenate([said.pcm for said, _ in minutes]))
    wanted = cut(SOUL_TEST, whole)
    for number in range(2):  # the third hears a fourth that `whole` does not have
        windows = minutes[number][1]
        assert torch.equal(windows, wanted[12 * number : 12 * (number + 1)])


@pytest.fixture(scope="module")
def model() -> Soul:
    tiny = build(replace(SOUL_TEST, image_size=256), 0).requires_grad_(False)
    tiny.codebook.centroids.normal_()
    tiny.codebook.threshold.fill_(6.5)
    return tiny


def test_a_live_minute_keeps_a_picture_a_second(model: Soul) -> None:
    with pytest.raises(TypeError, match="expected Watched"):
        watched_of(model)
    ticks = iter(range(10_000))
    book, portrait = model.codebook, np.full((256, 256, 3), 90, np.uint8)
    model.codebook = Watched(book, lambda: float(next(ticks)))
    with torch.inference_mode():
        state = open_stream(model, from_bytes(portrait), "", 0)
    windows = torch.zeros(12, model.config.window_samples)
    found = live_minute(model, state, windows, Probe().eval(), lambda: float(next(ticks)))
    model.codebook = book
    assert found.pictures.shape == (2, 256, 256, 3)
    assert found.opening.shape == (48,)
    assert state.chunk == 12
    assert 0 <= found.pulls.share <= 1
    assert (found.pulls.seconds, found.seconds) == (12, 36)  # each reading is a tick

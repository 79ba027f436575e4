"""The encoder that learns to hear the mouth: what it is given, and that it resumes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from soul.model.audio import windows
from soul.model.config import SOUL_TEST
from soul.training import listener as stage
from soul.training.listener import (
    COLUMNS,
    MOUTH,
    Listener,
    ListenerConfig,
    hear,
    make_speech,
    make_take,
    train_listener,
    window_of,
)
from soul.training.progress import Length, Progress

TINY = ListenerConfig(takes=3, seconds=3.0, length=Length(6), batch=4)


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A stage's folder in which the speech lies already: noise whose loudness opens the mouth."""
    rng = np.random.default_rng(0)
    mouth = rng.random((3, 75, len(MOUTH))).astype(np.float32)
    loud = mouth[..., 0].repeat(640, 1)
    pcm = (rng.standard_normal((3, 2, 48_000)) * loud[:, None] * 0.3).astype(np.float16)
    np.savez(tmp_path / "speech.npz", pcm=pcm, mouth=mouth)
    return tmp_path


def test_a_take_is_the_same_whenever_it_is_made() -> None:
    config = ListenerConfig(seconds=2.0)
    pcm, mouth = make_take(config, 1)  # eSpeak's, which remembers unless it is loaded anew
    assert pcm.dtype == np.float16
    assert pcm.shape == (4, 32_000)  # through four microphones
    assert not np.array_equal(pcm[0], pcm[1])
    assert mouth.shape == (50, len(MOUTH))
    make_take(config, 2)
    again, _ = make_take(config, 1)
    assert np.array_equal(pcm, again)
    assert not np.array_equal(pcm, make_take(config, 5)[0])


def test_the_mouths_channels_are_what_is_told() -> None:
    assert len(COLUMNS) == len(MOUTH) == 6
    listener = Listener(SOUL_TEST)
    assert listener(torch.zeros(5, SOUL_TEST.window_samples)).shape == (5, 4, 6)


@pytest.mark.parametrize("chunk", [0, 1, 3, 7])
def test_training_hears_what_serving_hears(chunk: int) -> None:
    pcm = torch.randn(2, 30_000)
    audio = SOUL_TEST.audio
    served = [windows(row, audio.past_samples, 2560, audio.lookahead_samples) for row in pcm]
    assert torch.equal(
        window_of(SOUL_TEST, pcm, chunk), torch.stack([window[chunk] for window in served])
    )


class Echo(Listener):
    """Tells the loudness of the middle of its window as the opening."""

    def forward(self, pcm: Tensor) -> Tensor:
        own = pcm[:, SOUL_TEST.audio.past_samples :][:, :2560].unflatten(1, (4, 640))
        loudness: Tensor = own.square().mean(-1).sqrt()
        return loudness.unsqueeze(-1).expand(-1, -1, 6)


def test_a_listener_that_hears_truly_correlates() -> None:
    rng = np.random.default_rng(0)
    opening = rng.random((2, 40)).astype(np.float32)
    sounds = torch.from_numpy(opening.repeat(640, 1))
    mouths = torch.from_numpy(opening)[..., None].expand(-1, -1, 6)
    assert hear(Echo(SOUL_TEST), SOUL_TEST, sounds, mouths) == pytest.approx(1, abs=1e-3)
    assert hear(Echo(SOUL_TEST), SOUL_TEST, sounds, -mouths) == pytest.approx(-1, abs=1e-3)


def test_stopped_and_resumed_is_the_same_as_never_stopped(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_listener(SOUL_TEST, TINY, spoken, seed=1, processes=1).state_dict()
    assert not torch.equal(whole["tell.weight"], Listener(SOUL_TEST).tell.weight)
    (spoken / "state.pt").unlink()
    short: Any = ListenerConfig(takes=3, seconds=3.0, length=Length(3), batch=4)
    monkeypatch.setattr(stage, "learning_rate", lambda fraction, peak: peak)
    steady = train_listener(SOUL_TEST, TINY, spoken, seed=1, processes=1).state_dict()
    (spoken / "state.pt").unlink()
    train_listener(SOUL_TEST, short, spoken, seed=1, processes=1)
    resumed = train_listener(SOUL_TEST, TINY, spoken, seed=1, processes=1).state_dict()
    for name, value in steady.items():
        assert torch.equal(resumed[name], value), name


def test_curves_are_drawn_as_it_goes(spoken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(Progress, "plot", lambda progress: drawn.append(progress.step))
    config = ListenerConfig(takes=3, seconds=3.0, length=Length(4), batch=4, save_every=2)
    train_listener(SOUL_TEST, config, spoken, seed=1, processes=1)
    assert drawn == [2, 4, 4]


def test_speech_that_is_not_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(path: Path, **arrays: np.ndarray) -> None:
        path.write_bytes(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", dying)
    with pytest.raises(OSError, match="no space left"):
        make_speech(tmp_path / "speech.npz", ListenerConfig(takes=1, seconds=1.0), 1)
    assert not (tmp_path / "speech.npz").exists()
    monkeypatch.undo()
    make_speech(tmp_path / "speech.npz", ListenerConfig(takes=1, seconds=1.0), 1)
    assert [path.name for path in tmp_path.glob("*.npz")] == ["speech.npz"]
    assert np.load(tmp_path / "speech.npz")["pcm"].shape == (1, 4, 16_000)


def test_what_is_told_stays_on_the_listeners_device() -> None:
    meta = torch.device("meta")
    told = Listener(SOUL_TEST).to(meta)(torch.zeros(5, SOUL_TEST.window_samples, device=meta))
    told.sum().backward()
    assert told.device == meta

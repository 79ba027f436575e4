"""Takes on disk: joined without a seam, gone on with, and of one film alone."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from soul.cli.film import Film, FilmError
from soul.cli.reel import Reel

SIZE, FPS, CPU = (64, 96), 24, torch.device("cpu")
SOUND = np.random.default_rng(0).normal(0, 0.1, (2, 20_000)).astype(np.float32)  # 10 pictures


def frames(count: int, seed: int) -> NDArray[np.uint8]:
    draw = np.random.default_rng(seed)
    plain = draw.integers(0, 256, (count, 1, 1, 3), np.uint8)
    return np.broadcast_to(plain, (count, *SIZE, 3)).copy()


def reel(path: Path, **plan: object) -> Reel:
    return Reel(path, SIZE, FPS, plan)


def read(path: Path) -> tuple[list[NDArray[np.uint8]], list[float]]:
    with av.open(str(path)) as film:
        shown = list(film.decode(video=0))
        times = [float(f.time or 0) for f in shown]
        return list(np.stack([f.to_ndarray(format="rgb24") for f in shown])), times


def test_takes_become_one_film(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    made = reel(path, seed=1)
    assert made.open(CPU) is None
    first, second = frames(4, 1), frames(6, 2)
    made.add([first[:2], first[2:]], {"chunk": 1})
    made.add([second], {"chunk": 2})
    assert (made.takes, made.pictures) == (2, 10)
    assert not path.exists()
    made.join(SOUND)
    assert not made.folder.exists()
    shown, times = read(path)
    assert times == pytest.approx([n / FPS for n in range(10)], abs=1e-4)
    for picture, wanted in zip(shown, [*first, *second], strict=True):
        assert np.abs(picture.astype(int) - wanted).mean() < 8, "each picture in its place"
    with av.open(str(path)) as film:
        assert [s.type for s in film.streams] == ["video", "audio"]
        assert film.streams.audio[0].codec_context.channels == 2


def test_an_interrupted_one_goes_on_behind_its_last_take(tmp_path: Path) -> None:
    whole, parts = reel(tmp_path / "a.mp4", seed=1), reel(tmp_path / "b.mp4", seed=1)
    for one in (whole, parts):
        one.open(CPU)
        one.add([frames(5, 1)], {"noise": torch.arange(3)})
    (parts.folder / "00001.mp4").write_bytes(b"half a take")
    again = reel(tmp_path / "b.mp4", seed=1)
    state = again.open(CPU)
    assert state is not None
    assert torch.equal(state["noise"], torch.arange(3))
    assert (again.takes, again.pictures) == (1, 5)
    for one in (whole, again):
        one.add([frames(5, 2)], {})
        one.join(SOUND)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_takes_of_another_film_are_not_gone_on_with(tmp_path: Path) -> None:
    first = reel(tmp_path / "out.mp4", seed=1)
    first.open(CPU)
    first.add([frames(2, 1)], {})
    other = reel(tmp_path / "out.mp4", seed=2)
    assert other.open(CPU) is None
    assert (other.takes, [p.name for p in other.folder.iterdir()]) == (0, ["plan.json"])


def test_a_broken_state_is_one_sentence(tmp_path: Path) -> None:
    made = reel(tmp_path / "out.mp4")
    made.open(CPU)
    made.add([frames(2, 1)], {})
    (made.folder / "state.pt").write_bytes(b"no state")
    with pytest.raises(FilmError, match="to begin anew"):
        reel(tmp_path / "out.mp4").open(CPU)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    reel(tmp_path / "out.mp4").check()
    with pytest.raises(FilmError, match="is no folder that files can be made in"):
        reel(tmp_path / "nowhere" / "out.mp4").check()


def test_a_film_without_sound_has_pictures_alone(tmp_path: Path) -> None:
    with Film(tmp_path / "mute.mp4", SIZE, np.zeros((1, 0), np.float32), FPS) as film:
        film.add(frames(3, 1))
    with av.open(str(tmp_path / "mute.mp4")) as mute:
        assert [s.type for s in mute.streams] == ["video"]
        assert mute.streams.video[0].frames == 3
        assert mute.streams.video[0].average_rate == FPS

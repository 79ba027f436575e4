"""Clips become latents once, streamed as whole; a stop costs no clip; the teacher carries on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from made_folders import tiny_vae
from soul.model.vae import from_bytes
from soul.model.wan.vae import WanVae
from soul.training.encoded import encode_all, encoded, full_decoder, open_encoded


class Killed(Exception):
    """The machine went down."""


@pytest.fixture(scope="module")
def vae() -> WanVae:
    return tiny_vae()


def film(frames: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (frames, 32, 48, 3), np.uint8)


def test_a_clip_is_encoded_piece_by_piece_as_whole(vae: WanVae) -> None:
    pictures = film(21)
    found = encoded(vae, pictures)
    assert found.shape == (48, 6, 2, 3)
    assert found.dtype == np.float16
    whole = vae.encode(from_bytes(pictures)[None])[0].movedim(1, 0)
    np.testing.assert_allclose(found, whole.numpy(), atol=2e-3)


def test_the_teacher_paints_a_stream_as_the_whole(vae: WanVae) -> None:
    latents = torch.randn(2, 48, 4, 2, 3, generator=torch.Generator().manual_seed(1))
    teacher = full_decoder(vae)
    paint, other = teacher(), teacher()
    parts = [paint(latents[:, :, :1]), paint(latents[:, :, 1:])]
    assert [part.shape for part in parts] == [(2, 3, 1, 32, 48), (2, 3, 12, 32, 48)]
    whole = vae.decode(latents.movedim(2, 1)).movedim(2, 1)
    torch.testing.assert_close(torch.cat(parts, 2), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(other(latents[:, :, :2]), whole[:, :, :5], atol=1e-5, rtol=0)


def test_a_stopped_run_goes_on_clip_by_clip(tmp_path: Path) -> None:
    films = {"a.tar": ["one", "two"], "b.tar": ["three"], "c.tar": []}
    read: list[str] = []
    coded: list[float] = []

    def reader(source: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        read.append(source)
        for name in films[source]:
            yield name, np.full((1, 2, 2, 3), len(name), np.uint8)

    def coder(pictures: NDArray[np.uint8]) -> NDArray[np.float16]:
        if len(coded) == 1 and not read.count("a.tar") == 2:
            raise Killed
        coded.append(float(pictures[0, 0, 0, 0]))
        return np.full((48, 1, 1, 1), pictures[0, 0, 0, 0], np.float16)

    with pytest.raises(Killed):
        encode_all(list(films), reader, coder, tmp_path)
    assert encode_all(list(films), reader, coder, tmp_path) == 3
    assert coded == [3, 3, 5]  # none twice
    assert encode_all(list(films), reader, coder, tmp_path) == 3
    assert read == ["a.tar", "a.tar", "b.tar", "c.tar"]
    clips = open_encoded(tmp_path)
    assert [float(clips[n][0, 0, 0, 0]) for n in range(len(clips))] == [3, 3, 5]
    assert clips[0].shape == (48, 1, 1, 1)
    assert list(tmp_path.rglob("*.new")) == []


def test_clips_that_a_dit_is_trained_on_are_read_as_well(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).standard_normal((3, 5, 48, 2, 3)).astype(np.float16)
    others = np.zeros((3, 2, 48, 2, 3), np.float16)
    np.save(tmp_path / "pivotal.npy", np.concatenate((whole[:, :1], others), 1))
    np.save(tmp_path / "latents.npy", whole[:, 1:])
    clips = open_encoded(tmp_path)
    assert len(clips) == 3
    for number in range(3):
        assert np.array_equal(clips[number], whole[number].swapaxes(0, 1))
    (tmp_path / "latents.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match="holds no whole arrays of latents"):
        open_encoded(tmp_path)


def test_no_latents_and_broken_ones_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no latents; expected those of soul fit encode"):
        open_encoded(tmp_path)
    (tmp_path / "latents").mkdir()
    (tmp_path / "latents" / "a.npy").write_bytes(b"no array")
    with pytest.raises(ValueError, match=r"a\.npy is no whole clip of latents"):
        open_encoded(tmp_path)[0]

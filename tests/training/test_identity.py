"""The embedding learns who is who, looks at any size, and survives its file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from soul.training.identity import (
    SHIPPED,
    Embedding,
    IdentityError,
    IdentityRecipe,
    any_rows,
    draw_people,
    elsewhere,
    head,
    load_identity,
    spoilt,
    train_identity,
    verify,
)
from soul.training.motion import COLUMN
from soul.training.world import draw_identity

TINY = IdentityRecipe(people=8, frames=2, held_out=4, steps=30, batch=8)


def test_people_are_drawn_twice_and_move() -> None:
    people = draw_people(np.random.default_rng(0), 2, 2)
    assert people.shape == (2, 2, 2, 96, 96, 3)
    corners = people[0, :, :, :4, :4].reshape(2, 2, -1).astype(int)
    assert np.abs(corners[0] - corners[1]).mean() > 5  # another place
    assert (people[0, 0, 0] != people[0, 0, 1]).any()
    again = draw_people(np.random.default_rng(0), 2, 2)
    assert np.array_equal(people, again)


def test_a_person_elsewhere_keeps_their_face() -> None:
    who, other = (draw_identity(np.random.default_rng(seed)) for seed in (1, 2))
    moved = elsewhere(who, other)
    assert (moved.face, moved.skin, moved.hair) == (who.face, who.skin, who.hair)
    assert moved.scene == other.scene


def test_any_row_is_a_row() -> None:
    rows = any_rows(np.random.default_rng(0), 200)
    assert np.abs(rows).max() <= 1
    assert 0.5 < (rows[:, COLUMN["eye_left"]] == 1).mean() < 1
    assert 0.2 < (rows[:, COLUMN["mouth_open"]] == 0).mean() < 0.6


def test_the_eye_sees_the_head_at_any_size() -> None:
    picture = torch.zeros(1, 3, 256, 256)
    picture[..., 8:208, 28:228] = 1
    assert head(picture).shape == (1, 3, 64, 64)
    assert head(picture).min() == 1
    assert head(torch.zeros(2, 3, 64, 64)).shape == (2, 3, 64, 64)
    with pytest.raises(ValueError, match=r"expected \[T, side, side, 3\]"):
        Embedding().read(np.zeros((2, 64, 32, 3), np.uint8))


def test_spoiling_changes_pictures_a_little() -> None:
    pictures = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (2, 3, 64, 64))).float()
    spoilt_ones = spoilt(np.random.default_rng(0), pictures)
    assert spoilt_ones.shape == pictures.shape
    assert not torch.equal(spoilt_ones, pictures)


def test_training_lowers_the_loss_and_tells_its_people_apart(tmp_path: Path) -> None:
    losses: list[float] = []
    embedding = train_identity(0, TINY, on_step=lambda _, loss: losses.append(loss))
    assert len(losses) == TINY.steps
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:8])
    found = verify(embedding, 0, TINY)
    assert found.same < found.different
    assert found.equal_error_rate < 0.5
    embedding.save(tmp_path / "identity.safetensors")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    vectors = embedding.read(pictures)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors, load_identity(tmp_path / "identity.safetensors").read(pictures))
    assert embedding.mean(pictures) == pytest.approx(vectors.mean(0), abs=1e-6)


def test_the_shipped_eye_tells_people_apart_that_it_never_saw() -> None:
    assert SHIPPED.stat().st_size < 1_000_000
    found = verify(load_identity(SHIPPED), 1, IdentityRecipe(held_out=10, frames=2))
    assert found.equal_error_rate < 0.1


def test_files_that_are_no_embedding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="expected the weights of an identity embedding"):
        load_identity(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(IdentityError, match="expected the weights of an identity embedding"):
        load_identity(tmp_path / "text.safetensors")

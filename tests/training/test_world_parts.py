"""The parts of a drawn person: apart, where they must be, and as colourful as their paint."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from soul.training.world import Artist, Identity, draw_identity
from soul.training.world.parts import Parts, parts

SIZE = 128


def person(style: str) -> Identity:
    who = draw_identity(np.random.default_rng(14))
    return replace(who, hair=replace(who.hair, style=style), beard="none", glasses="none")


@pytest.fixture(scope="module")
def long_haired() -> tuple[Identity, Parts]:
    who = person("long")
    return who, parts(who, SIZE)


def test_parts_are_apart_and_leave_the_face_features_out(
    long_haired: tuple[Identity, Parts],
) -> None:
    who, found = long_haired
    masks = np.stack(list(asdict(found).values()))
    assert masks.sum(0).max() == 1
    assert all(mask.sum() > 50 for mask in masks)
    scale = SIZE / 256
    eye = round(who.face.eye_y * scale), round((128 + who.face.eye_x) * scale)
    assert not masks[:, eye[0], eye[1]].any()


def test_parts_lie_where_they_must(long_haired: tuple[Identity, Parts]) -> None:
    who, found = long_haired
    scale = SIZE / 256
    assert found.skin[round(who.face.nose_y * scale) - 12, SIZE // 2 + 3]
    assert found.clothes[SIZE - 6, SIZE // 2 + 30]
    assert found.background[8, 8]
    assert np.flatnonzero(found.hair.any(1)).min() < 30


def test_a_parts_colour_is_near_its_paint(long_haired: tuple[Identity, Parts]) -> None:
    who, found = long_haired
    still = Artist(who, SIZE).portrait()
    for mask, paint in ((found.skin, who.skin), (found.clothes, who.scene.cloth)):
        assert np.abs(still[mask].mean(0) / 255 - paint).max() < 0.2


def test_a_bald_head_has_no_hair_and_a_head_cloth_is_clothes() -> None:
    assert parts(person("bald"), SIZE).hair.sum() == 0
    veiled = parts(person("hijab"), SIZE)
    assert veiled.hair.sum() == 0
    assert veiled.clothes[: SIZE // 4].any()

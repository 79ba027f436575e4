"""Known answers for distances between people."""

import numpy as np
import pytest

from soul.measure.identity import cosine_distance, verification


def test_distances_of_known_vectors() -> None:
    assert cosine_distance([2.0, 0.0], [5.0, 0.0]) == pytest.approx(0.0)
    assert cosine_distance([1.0, 0.0], [0.0, 3.0]) == pytest.approx(1.0)
    assert cosine_distance([1.0, 0.0], [-1.0, 0.0]) == pytest.approx(2.0)


def test_what_is_no_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="expected equal"):
        cosine_distance([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="expected one with a direction"):
        cosine_distance([0.0, 0.0], [1.0, 2.0])


def test_people_who_lie_apart_are_never_mistaken() -> None:
    found = verification([0.1, 0.2, 0.3], [0.7, 0.9])
    assert found.equal_error_rate == 0.0
    assert 0.3 <= found.threshold < 0.7
    assert (found.same, found.different) == (0.2, 0.8)


def test_one_of_four_on_the_wrong_side_is_a_quarter() -> None:
    assert verification([0.1, 0.2, 0.3, 0.8], [0.25, 0.7, 0.9, 1.0]).equal_error_rate == 0.25


def test_distances_that_say_nothing_err_every_second_time() -> None:
    rng = np.random.default_rng(0)
    assert verification(rng.random(500), rng.random(500)).equal_error_rate == pytest.approx(
        0.5, abs=0.05
    )


def test_no_distances_are_refused() -> None:
    with pytest.raises(ValueError, match="expected some of both kinds"):
        verification([], [0.5])

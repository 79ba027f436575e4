"""What a stream draws from, on disk and back."""

from pathlib import Path

import pytest
import torch

from soul.model.bearing import Bearing
from soul.model.manner import Manner, mood
from soul.model.plain import filled, plain


def test_a_bearing_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    one, other = (Bearing(seed, mood(Manner(head="nodding", gaze="away"))) for seed in (4, 5))
    for n in range(100):
        one.next(0.1 * (n % 5), n > 60)
    one.become(mood(Manner("happy")))
    one.next(0.1, False)
    torch.save(plain(one), tmp_path / "state.pt")
    again = filled(other, torch.load(tmp_path / "state.pt", weights_only=True))
    assert again is other
    for n in range(200):
        assert again.next(0.1 * (n % 4), n < 50) == one.next(0.1 * (n % 4), n < 50)


def test_values_of_something_else_are_refused() -> None:
    with pytest.raises(KeyError):
        filled(Bearing(0, mood(Manner())), {"phase": 1.0})

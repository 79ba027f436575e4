"""Positions without end: exact far out, and scores that depend on differences alone."""

import math
from decimal import Decimal, localcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from soul.model.rope import angles, frequencies, rotate, rotation, split

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640629")


def exact_angle(position: int, pair: int, channels: int) -> float:
    """position · 10000^(−2 pair / channels) mod 2π, in 60 decimal digits until the end."""
    with localcontext() as context:
        context.prec = 60
        turn = Decimal(position) * Decimal(10_000) ** (Decimal(-2 * pair) / Decimal(channels))
        return float(turn % (2 * PI))


def apart(a: float, b: float) -> float:
    """Distance on the circle."""
    return abs(math.remainder(a - b, 2 * math.pi))


@pytest.mark.parametrize(
    ("head_dim", "parts"), [(128, (44, 42, 42)), (64, (24, 20, 20)), (24, (8, 8, 8))]
)
def test_a_head_is_split_as_wan_splits_it(head_dim: int, parts: tuple[int, int, int]) -> None:
    assert split(head_dim) == parts
    assert sum(parts) == head_dim


@pytest.mark.parametrize("position", [0, 1, 25, 999_983, 10_000_000])
@pytest.mark.parametrize("channels", [24, 44])
def test_angles_are_exact_however_far_out(position: int, channels: int) -> None:
    found = angles(torch.tensor(position), channels)
    for pair, angle in enumerate(found.tolist()):
        assert apart(angle, exact_angle(position, pair, channels)) < 1e-8
    assert found.dtype == torch.float64
    assert ((found >= 0) & (found < 2 * math.pi)).all()


def test_float32_angles_would_have_been_lost_there() -> None:
    """Why the angles are formed in float64: the naive way is off by far more than a digit."""
    naive = (torch.tensor(10_000_001.0) * frequencies(44).float()).double()
    worst = max(apart(a, exact_angle(10_000_001, i, 44)) for i, a in enumerate(naive.tolist()))
    assert worst > 1e-2


def test_rows_and_columns_turn_their_own_channels() -> None:
    turn = rotation(torch.tensor([7]), 2, 3, 24)
    assert turn.shape == (2, 1, 6, 12)
    cos, sin = turn[:, 0]
    for token in range(6):
        row, column = divmod(token, 3)
        wanted = [exact_angle(p, i, 8) for p in (7, row, column) for i in range(4)]
        torch.testing.assert_close(cos[token], torch.tensor([math.cos(a) for a in wanted]))
        torch.testing.assert_close(sin[token], torch.tensor([math.sin(a) for a in wanted]))


def vectors(seed: int) -> Tensor:
    return torch.randn(2, 1, 1, 4, 24, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 999), st.integers(-10, 200), st.integers(0, 64), st.integers(0, 10_000_000))
def test_scores_depend_on_differences_only(seed: int, at: int, gap: int, shift: int) -> None:
    query, key = vectors(seed)

    def score(start: int) -> Tensor:
        turned = (rotate(x, rotation(torch.tensor([p]), 2, 2, 24))
                  for x, p in ((query, start + gap), (key, start)))  # fmt: skip
        q, k = turned
        return q @ k.transpose(-1, -2)

    torch.testing.assert_close(score(at), score(at + shift), atol=2e-5, rtol=1e-5)


@given(st.integers(0, 999), st.integers(0, 10_000_000))
def test_turning_keeps_lengths_and_type(seed: int, position: int) -> None:
    x = vectors(seed)[0]
    turned = rotate(x, rotation(torch.tensor([position]), 2, 2, 24))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert rotate(x.half(), rotation(torch.tensor([position]), 2, 2, 24)).dtype == torch.float16


def test_position_zero_of_the_first_cell_leaves_a_vector_alone() -> None:
    x = vectors(0)[0]
    torch.testing.assert_close(
        rotate(x, rotation(torch.tensor([0]), 2, 2, 24))[0, 0, 0], x[0, 0, 0]
    )


def test_pairs_are_interleaved() -> None:
    x = torch.zeros(1, 1, 1, 24)
    x[..., 0] = 1
    turned = rotate(x, rotation(torch.tensor([1]), 1, 1, 24)).flatten()
    torch.testing.assert_close(turned[:2], torch.tensor([math.cos(1), math.sin(1)]))
    assert not turned[2:].any()

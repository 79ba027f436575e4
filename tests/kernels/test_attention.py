"""The fused attention against its plain twin."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soul.kernels import reference
from soul.kernels.attention import attention


@given(
    seed=st.integers(0, 9999),
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    queries=st.integers(1, 9),
    keys=st.integers(1, 20),
    masked=st.booleans(),
)
def test_it_is_the_plain_form(
    seed: int, batch: int, heads: int, queries: int, keys: int, masked: bool
) -> None:
    draw = torch.Generator().manual_seed(seed)
    query = torch.randn(batch, heads, queries, 8, generator=draw)
    key = torch.randn(batch, heads, keys, 8, generator=draw)
    value = torch.randn(batch, heads, keys, 8, generator=draw)
    visible = torch.rand(batch, 1, 1, keys, generator=draw) < 0.5 if masked else None
    if visible is not None:
        visible[..., 0] = True
    torch.testing.assert_close(
        attention(query, key, value, visible),
        reference.attention(query, key, value, visible),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize("rubbish", [0.0, 1e4, -1e4])
def test_hidden_keys_have_no_say_whatever_they_hold(rubbish: float) -> None:
    query, key, value = torch.randn(3, 2, 2, 6, 8)
    visible = (torch.arange(6) < 4).view(1, 1, 1, 6).expand(2, -1, -1, -1)
    before = attention(query, key, value, visible)
    key[..., 4:, :], value[..., 4:, :] = rubbish, rubbish
    torch.testing.assert_close(attention(query, key, value, visible), before)

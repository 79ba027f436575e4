"""The attentions of a block against sums written out token by token."""

import math

import torch
from torch import Tensor

from soul.model.attention import CrossAttention, Memory, RMSNorm, SelfAttention
from soul.model.config import SOUL_TEST
from soul.model.rope import rotation

CONFIG = SOUL_TEST.dit
HEADS, SIZE = CONFIG.heads, CONFIG.head_dim


def by_hand(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """[n, dim], [m, dim], [m, dim] → [n, dim], one head and one query at a time."""
    answer = torch.zeros_like(queries)
    for head in range(HEADS):
        part = slice(head * SIZE, (head + 1) * SIZE)
        for i, query in enumerate(queries[:, part]):
            weights = [math.exp(float(query @ key) / math.sqrt(SIZE)) for key in keys[:, part]]
            for weight, value in zip(weights, values[:, part], strict=True):
                answer[i, part] += weight / sum(weights) * value
    return answer


def test_the_norm_runs_over_all_heads_together() -> None:
    norm = RMSNorm(4, 1e-6)
    norm.weight.data.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    x = torch.tensor([1.0, -1.0, 3.0, 5.0])  # root mean square 3
    torch.testing.assert_close(norm(x), torch.tensor([1.0, -2.0, 9.0, 20.0]) / 3)


def test_the_norm_is_taken_in_float32() -> None:
    x = torch.full((1, 4), 300.0, dtype=torch.float16)  # its square is beyond float16
    assert RMSNorm(4, 1e-6)(x).half().tolist() == [[1, 1, 1, 1]]


def test_cross_attention_is_the_sum_by_hand() -> None:
    torch.manual_seed(0)
    layer = CrossAttention(CONFIG)
    x, context = torch.randn(2, 3, CONFIG.dim), torch.randn(2, 5, CONFIG.dim)
    with torch.no_grad():
        answer = layer(x, context)
        for b in range(2):
            queries, keys = layer.norm_q(layer.q(x[b])), layer.norm_k(layer.k(context[b]))
            wanted = layer.o(by_hand(queries, keys, layer.v(context[b])))
            torch.testing.assert_close(answer[b], wanted, atol=1e-5, rtol=1e-4)


def test_self_attention_sees_what_is_visible_of_its_memory() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(CONFIG)
    x = torch.randn(1, 3, CONFIG.dim)
    still = rotation(torch.tensor([0]), 1, 1, SIZE).expand(-1, -1, 3, -1)  # no turn at all
    past_keys, past_values = torch.randn(2, 1, HEADS, 4, SIZE)
    visible = torch.tensor([True, False, True, False, True, True, True]).view(1, 1, 1, 7)
    with torch.no_grad():
        answer, key, value = layer(x, still, Memory(past_keys, past_values, visible))
        queries, keys, values = (
            layer.norm_q(layer.q(x[0])),
            layer.norm_k(layer.k(x[0])),
            layer.v(x[0]),
        )
        seen = [past[0].transpose(0, 1).flatten(1)[[0, 2]] for past in (past_keys, past_values)]
        wanted = layer.o(by_hand(queries, torch.cat((seen[0], keys)), torch.cat((seen[1], values))))
    torch.testing.assert_close(answer[0], wanted, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(key[0].transpose(0, 1).flatten(1), keys)
    torch.testing.assert_close(value[0].transpose(0, 1).flatten(1), values)


def test_keys_are_handed_back_unturned() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(CONFIG), torch.randn(1, 4, CONFIG.dim)
    near = layer(x, rotation(torch.tensor([0]), 2, 2, SIZE), None)
    far = layer(x, rotation(torch.tensor([10_000]), 2, 2, SIZE), None)
    assert torch.equal(near[1], far[1])
    torch.testing.assert_close(near[0], far[0], atol=1e-5, rtol=1e-4)  # differences are all it sees

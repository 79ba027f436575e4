"""Eight bits a weight: near what it was, half the memory, any device."""

import torch
from torch import nn

from soul.model.wan.fp8 import LARGEST, STORED, NarrowLinear, narrow, narrow_weights, narrowed


def filled(linear: nn.Linear) -> NarrowLinear:
    layer = NarrowLinear(linear.in_features, linear.out_features, linear.bias is not None)
    layer.weight, layer.scale = narrowed(linear.weight.detach())
    if linear.bias is not None:
        layer.bias = nn.Parameter(linear.bias.detach())
    return layer


def test_each_row_has_a_scale_of_its_own() -> None:
    weight = torch.tensor([[1.0, -448.0], [0.5, 0.001], [0.0, 0.0]])
    stored, scale = narrowed(weight)
    assert stored.dtype == STORED
    assert torch.equal(stored.float().abs().amax(1), torch.tensor([LARGEST, LARGEST, 0.0]))
    torch.testing.assert_close(stored.float() * scale.unsqueeze(1), weight, atol=0, rtol=0.07)


@torch.no_grad()
def test_a_layer_answers_nearly_as_before() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        linear, x = nn.Linear(64, 48), torch.randn(200, 64)
    linear.weight[3] *= 100  # one stray row costs itself alone
    answer, wanted = filled(linear)(x), linear(x)
    error = (answer - wanted).norm(dim=0) / wanted.norm(dim=0)
    assert float(error.max()) < 0.05  # three bits of mantissa: 1/16 at most, a weight
    assert answer.dtype == x.dtype
    assert filled(nn.Linear(4, 4, bias=False))(x[:, :4].bfloat16()).dtype == torch.bfloat16


def test_every_linear_layer_inside_becomes_narrow() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(8, 4), nn.Sequential(nn.Linear(4, 2), nn.LayerNorm(2)))
        module.to(torch.bfloat16)
        narrow(module)
    assert narrow_weights(module) == {"0.weight", "1.0.weight"}
    kinds = {name: value.dtype for name, value in module.state_dict().items()}
    assert kinds["0.weight"] == STORED
    assert kinds["0.scale"] == torch.float32
    assert kinds["0.bias"] == kinds["1.1.weight"] == torch.bfloat16
    assert {t.device.type for t in module.state_dict().values()} == {"meta"}
    assert narrow_weights(module, "blocks.") == {"blocks.0.weight", "blocks.1.0.weight"}

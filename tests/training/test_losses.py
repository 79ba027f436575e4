"""Losses whose values are known beforehand."""

import math

import pytest
import torch

from soul.training.losses import (
    edge_l1,
    edges,
    flow_matching,
    nt_xent,
    region_weight,
    shrink,
    weighted_l1,
)

ONES = torch.ones(2, 1, 4, 6)


def test_differences_of_a_ramp_are_its_slopes() -> None:
    y, x = torch.meshgrid(torch.arange(4.0), torch.arange(6.0), indexing="ij")
    across, down = edges((2 * x + 5 * y).expand(2, 3, 4, 6))
    assert across.shape == (2, 3, 4, 5)
    assert down.shape == (2, 3, 3, 6)
    assert (across == 2).all()
    assert (down == 5).all()


def test_the_same_picture_costs_nothing() -> None:
    picture = torch.randn(2, 3, 4, 6)
    assert weighted_l1(picture, picture, ONES) == 0
    assert edge_l1(picture, picture, ONES) == 0


def test_a_constant_error_costs_itself_times_the_mean_weight() -> None:
    picture, weight = torch.randn(2, 3, 4, 6), torch.ones(2, 1, 4, 6)
    weight[0] = 4
    assert weighted_l1(picture + 0.5, picture, weight) == pytest.approx(0.5 * 2.5)
    assert edge_l1(picture + 0.5, picture, weight) == pytest.approx(0, abs=1e-6)


def test_a_lost_edge_costs_where_it_is() -> None:
    truth = torch.zeros(1, 1, 4, 6)
    truth[..., 3:] = 1  # one edge across: a fifth of the horizontal differences
    weight = torch.ones(1, 1, 4, 6)
    assert edge_l1(torch.zeros_like(truth), truth, weight) == pytest.approx(0.2)
    weight[..., 3] = 6
    assert edge_l1(torch.zeros_like(truth), truth, weight) == pytest.approx(1.2)


def test_regions_weigh_more_and_add_up() -> None:
    boxes = torch.tensor([[[0.0, 0, 2, 2], [1.0, 1, 3, 2]], [[9.0, 9, 12, 12], [0.0, 0, 0, 0]]])
    found = region_weight(boxes, torch.tensor([5.0, 10.0]), 3, 4)
    assert found.shape == (2, 1, 3, 4)
    assert found[0, 0].tolist() == [[6, 6, 1, 1], [6, 16, 11, 1], [1, 1, 1, 1]]
    assert (found[1] == 1).all()


def test_a_weight_map_shrinks_to_block_means() -> None:
    weight = torch.zeros(1, 1, 4, 4)
    weight[..., :2, 2:] = 8
    weight[..., 3, 0] = 4
    assert shrink(weight, 2).tolist() == [[[[0, 8], [1, 0]]]]


def test_the_true_flow_costs_nothing_and_any_other_its_square() -> None:
    noise, clean = torch.randn(2, 2, 48, 4, 6)
    assert flow_matching(noise - clean, noise, clean, ONES) == 0
    assert flow_matching(noise - clean + 2, noise, clean, ONES) == pytest.approx(4, rel=1e-5)
    assert flow_matching(noise - clean + 2, noise, clean, 3 * ONES) == pytest.approx(12, rel=1e-5)


def test_the_flow_leads_from_clean_to_noise() -> None:
    """One Euler step from noise along −v over the whole way arrives at the clean latent."""
    noise, clean = torch.randn(2, 1, 48, 4, 4)
    flow = (noise - clean).requires_grad_()
    flow_matching(flow, noise, clean, torch.ones(1, 1, 4, 4)).backward()
    assert flow.grad is not None
    assert not flow.grad.any()
    torch.testing.assert_close(noise - flow, clean)


def test_pairs_that_meet_cost_little_and_strangers_as_much_as_guessing() -> None:
    apart = torch.eye(4)
    assert nt_xent(apart, apart, 0.05) == pytest.approx(0, abs=1e-6)
    same = torch.ones(4, 1)
    assert nt_xent(same, same, 0.5) == pytest.approx(math.log(7))  # one of the seven others
    assert nt_xent(apart, apart.roll(1, 0), 0.05) > 15

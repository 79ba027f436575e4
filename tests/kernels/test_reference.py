"""The plain forms against what can be worked out by hand."""

import math

import torch

from soul.kernels.reference import attention, pullback


def test_equal_scores_average_the_values() -> None:
    value = torch.tensor([[1.0, 2.0], [3.0, 6.0]])[None, None]
    answer = attention(torch.zeros(1, 1, 1, 4), torch.randn(1, 1, 2, 4), value)
    torch.testing.assert_close(answer.flatten(), torch.tensor([2.0, 4.0]))


def test_scores_are_scaled_by_the_root_of_the_heads_size() -> None:
    query = torch.tensor([2.0, 0, 0, 0]).view(1, 1, 1, 4)
    key = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]])[None, None]
    value = torch.tensor([[1.0], [0.0]])[None, None]
    expected = math.e / (math.e + 1)  # scores 2 · 1 / √4 and 0
    assert math.isclose(float(attention(query, key, value)), expected, rel_tol=1e-6)


def test_what_is_not_visible_does_not_count() -> None:
    query, key, value = torch.randn(3, 1, 2, 5, 4)
    visible = torch.tensor([True, False, True, False, False]).view(1, 1, 1, 5)
    kept = visible.flatten()
    torch.testing.assert_close(
        attention(query, key, value, visible),
        attention(query, key[..., kept, :], value[..., kept, :]),
    )


def test_a_stray_lands_on_the_edge_by_hand() -> None:
    centroids = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    pulled, distance = pullback(torch.tensor([[3.0, 4.0]]), centroids, torch.tensor(2.0))
    torch.testing.assert_close(pulled, torch.tensor([[1.2, 1.6]]))
    assert distance.tolist() == [5.0]


def test_a_feature_on_its_centroid_stays_there() -> None:
    centroids = torch.tensor([[1.0, 2.0]])
    for threshold in (0.0, 1.0, math.inf):
        pulled, distance = pullback(centroids.clone(), centroids, torch.tensor(threshold))
        assert torch.equal(pulled, centroids)
        assert distance.tolist() == [0.0]

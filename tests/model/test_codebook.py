"""The pullback over whole latents: cells apart, strays counted."""

import math

import pytest
import torch

from soul.kernels import reference
from soul.model.codebook import Codebook, extended, with_threshold


def codebook(threshold: float) -> Codebook:
    torch.manual_seed(0)
    book = Codebook(12, 48)
    book.centroids.copy_(torch.randn(12, 48))
    book.threshold.fill_(threshold)
    return book


def test_a_new_codebook_leaves_everything_as_it_is() -> None:
    latents = torch.randn(2, 48, 4, 4) * 100
    pulled, strays = Codebook(12, 48)(latents)
    assert torch.equal(pulled, latents)
    assert strays.tolist() == [0, 0]


def test_each_cell_is_pulled_by_the_papers_formula() -> None:
    book, latents = codebook(8.5), torch.randn(2, 48, 3, 5)
    pulled, strays = book(latents)
    assert pulled.shape == latents.shape
    far = torch.zeros(2)
    for b in range(2):
        for y in range(3):
            for x in range(5):
                f = latents[b, :, y, x]
                wanted, distance = reference.pullback(f[None], book.centroids, book.threshold)
                torch.testing.assert_close(pulled[b, :, y, x], wanted[0], atol=1e-5, rtol=1e-5)
                far[b] += float(distance > book.threshold) / 15
    assert 0 < far.sum() < 2
    torch.testing.assert_close(strays, far)


def test_latents_of_a_chunk_are_pulled_each_as_alone() -> None:
    book, latents = codebook(8.5), torch.randn(2, 48, 3, 4, 4)
    pulled, strays = book(latents)
    each = [book(latent) for latent in latents.unbind(2)]
    assert torch.equal(pulled, torch.stack([p for p, _ in each], 2))
    torch.testing.assert_close(strays, torch.stack([s for _, s in each]).mean(0))


def test_strays_are_each_streams_own() -> None:
    book = codebook(1.0)
    near = book.centroids[3].view(1, 48, 1, 1).expand(1, 48, 4, 4)
    _, strays = book(torch.cat((near, near + 50)))
    assert strays.tolist() == [0, 1]


def test_pulling_twice_changes_nothing_more() -> None:
    book = codebook(3.0)
    once, _ = book(torch.randn(1, 48, 4, 4) * 3)
    twice, _ = book(once)
    torch.testing.assert_close(twice, once, atol=1e-5, rtol=1e-5)


def test_the_threshold_is_kept_beside_the_centroids() -> None:
    assert set(codebook(2.0).state_dict()) == {"centroids", "threshold"}
    assert math.isinf(float(Codebook(2, 3).threshold))
    with pytest.raises(RuntimeError, match="threshold"):
        Codebook(12, 48).load_state_dict({"centroids": torch.zeros(12, 48)})


def test_infinity_leaves_everything_and_zero_replaces_everything() -> None:
    book, latents = codebook(8.5), torch.randn(1, 48, 4, 4)
    kept, strays = with_threshold(book, math.inf)(latents)
    assert torch.equal(kept, latents)
    assert strays.tolist() == [0]
    replaced, strays = with_threshold(book, 0.0)(latents)
    assert strays.tolist() == [1]
    cells = replaced.permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.cdist(cells, book.centroids).min(1).values.max() < 1e-3
    assert float(book.threshold) == 8.5


def test_an_extended_codebook_leaves_what_it_was_shown() -> None:
    book, latents = codebook(0.5), torch.randn(2, 48, 4, 4)
    known = extended(book, latents[:1])
    assert known.centroids.shape == (12 + 16, 48)
    assert (len(book.centroids), float(known.threshold)) == (12, 0.5)
    pulled, strays = known(latents)
    assert torch.equal(pulled[0], latents[0])
    assert strays.tolist() == [0, 1]
    again, _ = known(book.centroids[3].view(1, 48, 1, 1))
    torch.testing.assert_close(again.flatten(), book.centroids[3])

"""Codebooks in place of the codebook: each does what it says, and what it did is counted."""

import math

import pytest
import torch

from soul.model.codebook import Codebook
from soul.model.config import SOUL_TEST
from soul.model.sample import build
from soul.training.variants import BOOKS, Damage, Watched, variant, weakened


def codebook() -> Codebook:
    book = Codebook(12, 48)
    book.centroids.copy_(torch.randn(12, 48, generator=torch.Generator().manual_seed(0)))
    book.threshold.fill_(8.0)
    return book


def latents(seed: int) -> torch.Tensor:
    return torch.randn(1, 48, 4, 4, generator=torch.Generator().manual_seed(seed))


def no_clock() -> float:
    return 0.0


def test_every_variant_does_what_it_says() -> None:
    book, portrait, strange = codebook(), latents(1), latents(2)
    found = {name: variant(name, book, portrait)(strange)[0] for name in BOOKS}
    assert torch.equal(found["off"], strange)
    cells = found["hard"].permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.cdist(cells, book.centroids).min(1).values.max() < 1e-3
    assert torch.equal(found["pullback"], book(strange)[0])
    assert torch.equal(variant("extended", book, portrait)(portrait)[0], portrait)
    assert not torch.equal(book(portrait)[0], portrait)
    with pytest.raises(ValueError, match="expected one of off, hard, pullback, extended"):
        variant("soft", book, portrait)


def test_watching_changes_nothing_and_counts() -> None:
    book = codebook()
    ticks = iter([0.0, 1.0, 10.0, 13.0])
    watched = Watched(book, lambda: next(ticks))
    near = book.centroids[3].view(1, 48, 1, 1).expand(1, 48, 4, 4)
    far = near + 10 / math.sqrt(48) * 2  # 20 from its centroid, pulled by 12
    for seen in (near, far):
        pulled, strays = watched(seen)
        wanted, share = book(seen)
        assert torch.equal(pulled, wanted)
        assert torch.equal(strays, share)
    told = watched.tell()
    assert (told.share, told.seconds) == (0.5, 4.0)
    distance = float(torch.cdist((far[0, :, 0, 0])[None], book.centroids).min())
    assert told.size == pytest.approx(distance - 8.0, rel=1e-4)
    again = watched.tell()
    assert math.isnan(again.share)
    assert (again.size, again.seconds) == (0.0, 0.0)


def test_a_hurt_context_is_the_same_for_every_codebook() -> None:
    book, clean = codebook(), latents(3)
    first = Watched(variant("off", book, clean), no_clock, noise=0.5, seed=7)(clean)[0]
    second = Watched(variant("off", book, clean), no_clock, noise=0.5, seed=7)(clean)[0]
    assert torch.equal(first, second)
    assert float((first - clean).std()) == pytest.approx(0.5, rel=0.1)
    assert torch.equal(Watched(variant("off", book, clean), no_clock)(clean)[0], clean)


def test_a_weakened_student_is_off_by_the_share_and_the_healthy_one_is_not() -> None:
    model = build(SOUL_TEST, 0).requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin, again = (weakened(model, Damage(weights=0.01, seed=3)) for _ in range(2))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(twin.state_dict()[name], again.state_dict()[name])
        if not name.startswith("dit."):
            assert torch.equal(twin.state_dict()[name], value)
    weight, hurt = model.dit.state_dict(), twin.dit.state_dict()
    off = torch.cat([(hurt[n] / w - 1)[w != 0].flatten() for n, w in weight.items()])
    assert float(off.std()) == pytest.approx(0.01, rel=0.1)

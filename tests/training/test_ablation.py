"""Eight streams side by side: the same sound, each with a codebook and a student of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from soul.model.config import SOUL_TEST
from soul.model.sample import build
from soul.training.ablation import STUDENTS, ablate, entries, rows
from soul.training.drift import DriftConfig, Judges, Subject
from soul.training.identity import Embedding
from soul.training.probe import Probe
from soul.training.variants import BOOKS, Damage

CONFIG = DriftConfig(minutes=2, seed=4, chunks=4)
SUBJECT = Subject("noise", np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))


def test_the_table_is_filled_line_by_line_and_minute_by_minute() -> None:
    model = build(replace(SOUL_TEST, image_size=256), 0).requires_grad_(False)
    model.codebook.centroids.normal_(generator=torch.Generator().manual_seed(1))
    model.codebook.threshold.fill_(6.5)
    ticks = iter(range(100_000))
    table = entries(model, SUBJECT, Damage(noise=1.0), 0, lambda: float(next(ticks)))
    assert [(e.student, e.codebook) for e in table] == [(s, b) for s in STUDENTS for b in BOOKS]
    healthy, damaged = table[:4], table[4:]
    assert len({id(e.model) for e in healthy}) == len({id(e.model) for e in damaged}) == 1
    judges = Judges(Probe().eval(), Embedding().eval())
    told = list(ablate(table, SUBJECT, judges, CONFIG, lambda: float(next(ticks))))
    assert [entry.label for entry, _ in told[:2]] == ["off, healthy", "hard, healthy"]
    assert [minute.minute for _, minute in told] == [1] * 8 + [2] * 8
    found = rows(table, CONFIG.chunks)
    shares = [row["last_minute"]["pulled_back"] for row in found]
    assert shares[0] == shares[4] == 0
    assert shares[1] == shares[5] == 1
    assert 0 < shares[2] <= shares[6] <= 1  # noise makes strays
    assert len(table[3].watched.centroids) == 16 + 16 * 16
    assert all(row["codebook_share"] == pytest.approx(1 / 3) for row in found)  # a tick of three

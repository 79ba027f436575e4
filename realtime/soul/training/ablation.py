"""What the codebook is worth: one sound, one portrait, one seed, and every codebook in turn.

Each codebook of `variants.BOOKS` serves the student as it is and one that is made to drift. All
streams go minute by minute side by side, so that they hear the very same sound and an interrupted
table compares equal lengths. Knows no files.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

from soul.model.sample import Soul, StreamState, open_stream
from soul.model.vae import from_bytes
from soul.training.drift import (
    DriftConfig,
    First,
    Judges,
    Minute,
    Subject,
    Take,
    Takes,
    figures,
    first_of,
    live_minute,
    summary,
)
from soul.training.variants import BOOKS, Damage, Seconds, Watched, variant, weakened

STUDENTS = ("healthy", "damaged")


@dataclass
class Entry:
    """One line of the table in the making; entries of one student share its weights."""

    codebook: str
    student: str
    model: Soul
    watched: Watched
    state: StreamState
    first: First | None = None
    minutes: list[Minute] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{self.codebook}, {self.student}"

    def minute(
        self, said: Take, windows: torch.Tensor, subject: Subject, judges: Judges, seconds: Seconds
    ) -> Minute:
        """One minute more."""
        self.model.codebook = self.watched
        seen = live_minute(self.model, self.state, windows, judges.probe, seconds)
        self.first = self.first or first_of(seen, judges.embedding)
        number = len(self.minutes) + 1
        self.minutes.append(figures(number, seen, said, subject, judges.embedding, self.first))
        return self.minutes[-1]


@torch.inference_mode()
def entries(
    model: Soul, subject: Subject, damage: Damage, seed: int, seconds: Seconds
) -> list[Entry]:
    """Every codebook with every student, each with a stream of its own that has heard nothing."""
    still, book = from_bytes(subject.portrait), model.codebook
    portrait = model.encoder.still(still.unsqueeze(0).to(model.device))
    students = {"healthy": (model, 0.0), "damaged": (weakened(model, damage), damage.noise)}
    made = []
    for student in STUDENTS:
        whose, noise = students[student]
        for name in BOOKS:
            watched = Watched(variant(name, book, portrait), seconds, noise, damage.seed)
            state = open_stream(whose, still, "", seed)
            made.append(Entry(name, student, whose, watched, state))
    return made


def ablate(
    table: list[Entry], subject: Subject, judges: Judges, config: DriftConfig, seconds: Seconds
) -> Iterator[tuple[Entry, Minute]]:
    """Fill `table`, minute by minute; tells each figure as it comes.

    Raises SpeechError without voices.
    """
    takes = Takes(config)
    for _ in range(config.minutes):
        said, windows = takes.next(table[0].model.config)
        for entry in table:
            yield entry, entry.minute(said, windows, subject, judges, seconds)


def rows(table: list[Entry], chunks: int) -> list[dict[str, Any]]:
    """The table, a row for each entry. `chunks` made a minute.

    `codebook_share` is the pullback's share of the rollout's time, the median of the minutes.
    """
    return [
        {
            "codebook": entry.codebook,
            "student": entry.student,
            "codebook_share": median(minute.codebook_share for minute in entry.minutes),
            **summary(entry.minutes, chunks),
        }
        for entry in table
    ]

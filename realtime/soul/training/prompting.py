"""Does a face do what its prompt asks, and do its lips still follow? One held-out person a side.

Every value of a side is asked of the same person with the same words to say, in wording that
training never saw; a judge names what it sees. The world's own renders of the same takes, read by
the same eye and judged by the same judge, are the ceiling. Trains nothing and writes no files.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from soul.measure.lips import best_lag
from soul.model.manner import Manner
from soul.training.adherence import Judge
from soul.training.manner import SIDES
from soul.training.probe import Probe, Readings, readings_of
from soul.training.sight import eye_for
from soul.training.staging import prompted
from soul.training.strips import Strip, overview
from soul.training.takes import Actor, drawn

USUAL = {side: str(value) for side, value in asdict(Manner()).items()}
SHOWN = ("happy", "sad", "surprised", "angry", "tilting", "down")  # values that a strip shows
FROM = 10  # frames into a take before it is shown: by then the face has left its portrait

Confusion = Mapping[str, Mapping[str, Mapping[str, int]]]  # side: asked: named: takes


@dataclass(frozen=True)
class Prompted:
    """One take whose prompt asks for one value of one side: what is true of it, and what is seen.

    `person` tells those apart who are asked for the values of a side; `strip` is None for a take
    that is not shown.
    """

    side: str
    value: str
    person: int
    prompt: str
    truth: Readings
    seen: Readings
    renders: Readings
    strip: Strip | None = None

    @property
    def lips(self) -> float:
        """Correlation of the mouth's opening with the truth, at the best lag."""
        return best_lag(self.truth.mouth_open, self.seen.mouth_open).correlation


def ask(
    actor: Actor, probe: Probe, seed: int, side: str, person: int, frames: int
) -> list[Prompted]:
    """All values of a side, asked of one person. The first person's takes are kept to be shown."""
    takes = []
    for value, scene in prompted(seed, side, person, frames).items():
        portrait = scene.artist.portrait()
        eye = eye_for(probe, portrait)
        pictures, renders = actor(scene).pictures, drawn(scene).pictures
        shown = range(min(FROM, frames - 1), frames)
        kept = value in SHOWN and person == 0
        takes.append(
            Prompted(
                side, value, person, scene.prompt,
                truth=readings_of(scene.motion),
                seen=eye.read(pictures),
                renders=eye.read(renders),
                strip=overview(value, portrait, pictures, renders, shown) if kept else None,
            )
        )  # fmt: skip
    return takes


def of_renders(takes: Sequence[Prompted]) -> list[Prompted]:
    """The same takes as if the model had painted the world's own renders."""
    return [replace(take, seen=take.renders) for take in takes]


@dataclass(frozen=True, slots=True)
class PromptFigures:
    """Shares of takes in which a judge names what was asked; nan for a side that nobody judges.

    `lips_under_prompts` is the worst of `lips_lost`, in points.
    """

    prompt_adherence: float
    adherence_expression: float
    adherence_energy: float
    adherence_head: float
    adherence_gaze: float
    lips_under_prompts: float


def prompt_figures(takes: Sequence[Prompted], judges: Mapping[str, Judge]) -> PromptFigures:
    """The figures of what was seen."""
    counts = confusion(takes, judges)
    lost = [points for values in lips_lost(takes).values() for points in values.values()]
    return PromptFigures(
        prompt_adherence=right([counts[side] for side in counts]),
        adherence_expression=right([counts[s] for s in counts if s == "expression"]),
        adherence_energy=right([counts[s] for s in counts if s == "energy"]),
        adherence_head=right([counts[s] for s in counts if s == "head"]),
        adherence_gaze=right([counts[s] for s in counts if s == "gaze"]),
        lips_under_prompts=min(lost, default=math.nan),
    )


def confusion(takes: Sequence[Prompted], judges: Mapping[str, Judge]) -> Confusion:
    """How often each value was named, by what was asked, by side; all values are there."""
    counted = Counter((t.side, t.value, judges[t.side].name(asdict(t.seen))) for t in takes)
    return {
        side: {
            asked: {named: counted[side, asked, named] for named in SIDES[side]}
            for asked in SIDES[side]
        }
        for side in SIDES
        if any(take.side == side for take in takes)
    }


def right(sides: Sequence[Mapping[str, Mapping[str, int]]]) -> float:
    """The share on the diagonals of some sides' counts; nan without any."""
    hits = sum(row[asked] for side in sides for asked, row in side.items())
    total = sum(sum(row.values()) for side in sides for row in side.values())
    return hits / total if total else math.nan


def chance(takes: Sequence[Prompted]) -> float:
    """The adherence of a face that knows nothing of its prompt; nan without takes."""
    shares = [1.0 / len(SIDES[take.side]) for take in takes]
    return float(np.mean(shares)) if shares else math.nan


def lips_lost(takes: Sequence[Prompted]) -> dict[str, dict[str, float]]:
    """What the lips gain under each value, by side, in points; negative where they lose.

    A point is a hundredth of the correlation; against the same person asked to be as usual on that
    side, who says the same; the mean over people.
    """
    usual = {(t.side, t.person): t.lips for t in takes if t.value == USUAL[t.side]}
    gained: dict[str, dict[str, list[float]]] = {}
    for take in takes:
        if take.value != USUAL[take.side]:
            points = 100.0 * (take.lips - usual[take.side, take.person])
            gained.setdefault(take.side, {}).setdefault(take.value, []).append(points)
    return {
        side: {value: float(np.mean(points)) for value, points in values.items()}
        for side, values in gained.items()
    }

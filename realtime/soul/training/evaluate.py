"""What a model can do, measured in its own output frames on what it never saw.

Held-out faces, voices and sentences; the live rollout; a probe that was trained on renders reads
the pictures. Writes a report, a page and a sheet to look at. It changes no weights.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soul.model.sample import Soul
from soul.timebase import FRAMES_PER_LATENT
from soul.training import conditions, recorded
from soul.training.bars import as_json, judge
from soul.training.behaviour import BehaviourConfig, as_report, behave
from soul.training.behaviour_page import behaviour_sections
from soul.training.figures import Takes, figures, report, row_of
from soul.training.page import Story, write_page
from soul.training.probe import SIZE, Probe
from soul.training.progress import sheet
from soul.training.takes import Actor, Look, attempt, hush, live, watch

log = logging.getLogger("soul.training")

SHEET_ROWS = 6


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """How much is judged; seeds far from training's, and the held-out split.

    The takes under backgrounds and the long one follow from the trials: together they cost at most
    about as much as the trials do. So do those in other voices and through other microphones: a
    quarter of the trials, seven times. What is asked by prompts and in turns costs three to four
    times as much.
    """

    trials: int = 12
    chunks: int = 60  # 9.6 s each
    seed: int = 120_001

    @property
    def hushes(self) -> int:
        """Takes that are played under every background, and others in every condition."""
        return max(1, self.trials // 4)

    @property
    def hush_chunks(self) -> int:
        return max(1, self.chunks // 2)

    @property
    def long_chunks(self) -> int:
        """Length of the take in which blinks and stares are watched."""
        return max(self.chunks, self.trials * self.chunks // 2)

    @property
    def behaviour(self) -> BehaviourConfig:
        """What is asked by prompts and in turns: nothing in very few trials."""
        return BehaviourConfig(self.trials // 6, self.trials // 3, self.trials // 4)


def evaluate(
    model: Soul,
    probe: Probe,
    config: TrialConfig,
    folder: Path,
    told: Mapping[str, object] | None = None,
    recordings: Sequence[recorded.Recording] = (),
) -> dict[str, object]:
    """Run all takes and write `folder`/report.json, index.html with its pictures, and trials.png.

    Returns what report.json holds, `told` (what the caller knows of model and machine) first; a
    figure that these takes do not have is null there. Pictures larger than the probe reads are
    judged at its size. Raises ValueError if they are smaller or no take has speech, SpeechError
    without voices, AlignmentError if the text of one of the `recordings` does not fit it.
    """
    if model.config.side < SIZE:
        raise ValueError(
            f"model {model.config.name} paints {model.config.side} pixels a side, expected "
            f"{SIZE} or more: the probe reads nothing smaller"
        )
    known = {"model": model.config.name, "seed": config.seed} | dict(told or {})
    return judge_actor(live(model), probe, config, folder, known, recordings)


def judge_actor(
    actor: Actor,
    probe: Probe,
    config: TrialConfig,
    folder: Path,
    told: Mapping[str, object],
    recordings: Sequence[recorded.Recording] = (),
) -> dict[str, object]:
    """`evaluate` for whoever paints the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    aligned = recorded.tell(recordings)  # first: a text that does not fit is told at once
    takes, looks = play_all(actor, probe, config)
    otherwise = play_conditions(actor, probe, config)
    people = recorded.judge(actor, probe, config.seed, aligned)
    show(looks, folder / "trials.png")
    seen, ceiling = figures(takes), figures(takes.of_renders())
    behaviour = behave(actor, probe, config.seed, config.chunks, config.behaviour)
    verdicts = judge(asdict(seen), asdict(ceiling)) + behaviour.verdicts()
    rows = [row_of(number, trial) for number, trial in enumerate(takes.trials, 1)]
    answer: dict[str, object] = {
        **told,
        **asdict(report(takes, ceiling)),
        **asdict(seen),
        "on_renders": asdict(ceiling),
        "behaviour": as_report(behaviour),
        "bars": [as_json(verdict) for verdict in verdicts],
        "takes": [asdict(row) for row in rows],
        "conditions": [asdict(row) for row in otherwise],
        "recorded": recorded.as_json(people) if people else None,
    }
    answer = {name: finite(value) for name, value in answer.items()}
    (folder / "report.json").write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    strips = [look.strips for look in looks]
    more = behaviour_sections(behaviour, folder)
    story = Story(told, takes, seen, ceiling, verdicts, rows, strips, otherwise, people, more)
    write_page(folder, story)
    return answer


def play_all(actor: Actor, probe: Probe, config: TrialConfig) -> tuple[Takes, list[Look]]:
    """Trials, takes under backgrounds and the long take."""
    played = []
    for number in range(config.trials):
        log.info("evaluate  take %d of %d", number + 1, config.trials)
        frames = config.chunks * FRAMES_PER_LATENT
        played.append(attempt(actor, probe, config.seed, number, frames))
    hushes = []
    for number in range(config.hushes):
        log.info("evaluate  silence under backgrounds, take %d of %d", number + 1, config.hushes)
        frames = config.hush_chunks * FRAMES_PER_LATENT
        hushes += hush(actor, probe, config.seed, number, frames)
    log.info("evaluate  one long take for blinks and stares")
    stare = watch(actor, probe, config.seed, config.long_chunks * FRAMES_PER_LATENT)
    trials = tuple(trial for trial, _ in played)
    return Takes(trials, tuple(hushes), stare), [look for _, look in played]


def play_conditions(actor: Actor, probe: Probe, config: TrialConfig) -> tuple[conditions.Row, ...]:
    """Other voices and other microphones, each in the same takes."""
    heard: list[conditions.Heard] = []
    for number in range(config.hushes):
        log.info("evaluate  voices and microphones, take %d of %d", number + 1, config.hushes)
        frames = config.chunks * FRAMES_PER_LATENT
        heard += conditions.listen(actor, probe, config.seed, number, frames)
    return conditions.rows_of(heard)


def finite(value: Any) -> Any:
    """`value`, with None for every float in it that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def show(looks: list[Look], path: Path) -> None:
    """Per take: the portrait, then frames at even distances."""
    sheet([[look.portrait, *look.frames] for look in looks[:SHEET_ROWS]], path)

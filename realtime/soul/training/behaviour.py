"""What a model does when it is told something: prompts, prompts that change, and turns to listen.

Puts together what `prompting`, `switching` and `turns` play: how much of it, its bars, and how a
report tells it. It is judged apart from lips and life, whose takes are another draw.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT
from soul.training import prompting, switching, turns
from soul.training.adherence import Judge, JudgeConfig, train_judges
from soul.training.bars import Bar, Range, Verdict, judge
from soul.training.manner import SIDES
from soul.training.probe import Probe
from soul.training.prompting import Prompted
from soul.training.switching import Switch
from soul.training.takes import Actor
from soul.training.turns import Turn

log = logging.getLogger("soul.training")


@dataclass(frozen=True, slots=True)
class BehaviourConfig:
    """How much is asked: `people` for every value of a side, others for each side."""

    people: int
    switches: int
    turns: int
    sides: tuple[str, ...] = tuple(SIDES)
    judges: JudgeConfig = field(default_factory=JudgeConfig)


@dataclass(frozen=True)
class Behaviour:
    """All that was seen of one model, and the judges of it by side.

    `right` is how often each judge is right on drawn motion, misread as the probe misreads it.
    """

    prompted: tuple[Prompted, ...]
    switches: tuple[Switch, ...]
    turns: tuple[Turn, ...]
    judges: Mapping[str, Judge]
    right: Mapping[str, float]

    def of_renders(self) -> "Behaviour":
        """The same takes as if the model had painted the world's own renders."""
        return replace(
            self,
            prompted=tuple(prompting.of_renders(self.prompted)),
            switches=tuple(switching.of_renders(self.switches)),
            turns=tuple(turns.of_renders(self.turns)),
        )

    def figures(self) -> dict[str, float]:
        """Every figure by name."""
        return {
            **asdict(prompting.prompt_figures(self.prompted, self.judges)),
            **asdict(switching.switch_figures(self.switches)),
            **asdict(turns.turn_figures(self.turns)),
        }

    def verdicts(self) -> tuple[Verdict, ...]:
        return judge(self.figures(), self.of_renders().figures(), BEHAVIOUR_BARS)


def behave(
    actor: Actor, probe: Probe, seed: int, chunks: int, config: BehaviourConfig
) -> Behaviour:
    """Train the judges, and play all takes of `chunks` each. Raises SpeechError without voices."""
    judges, right, prompted = obey(actor, probe, seed, chunks, config) if config.people else NONE
    log.info("evaluate  %d prompts that change, %d takes with turns", config.switches, config.turns)
    switches = [switching.switch(actor, probe, seed, n, chunks) for n in range(config.switches)]
    frames = chunks * FRAMES_PER_LATENT
    heard = [turns.converse(actor, probe, seed, n, frames) for n in range(config.turns)]
    return Behaviour(tuple(prompted), tuple(switches), tuple(heard), judges, right)


Obeyed = tuple[dict[str, Judge], dict[str, float], list[Prompted]]
NONE: Obeyed = ({}, {}, [])


def obey(actor: Actor, probe: Probe, seed: int, chunks: int, config: BehaviourConfig) -> Obeyed:
    """Judges by side, how often each is right, and the takes that they judge."""
    frames = chunks * FRAMES_PER_LATENT
    log.info("evaluate  training judges of prompts")
    learning = replace(config.judges, seconds=frames / FRAME_RATE)
    judges, right = train_judges(probe, seed, learning, config.sides)
    takes: list[Prompted] = []
    for person in range(config.people):
        for side in config.sides:
            log.info("evaluate  %s on request, person %d of %d", side, person + 1, config.people)
            takes += prompting.ask(actor, probe, seed, side, person, frames)
    return judges, right, takes


def as_report(behaviour: Behaviour) -> dict[str, object]:
    """How report.json tells it."""
    ceiling = behaviour.of_renders()
    return {
        **behaviour.figures(),
        "on_renders": ceiling.figures(),
        "chance": prompting.chance(behaviour.prompted),
        "judges_on_drawn_motion": dict(behaviour.right),
        "named": prompting.confusion(behaviour.prompted, behaviour.judges),
        "named_on_renders": prompting.confusion(ceiling.prompted, behaviour.judges),
        "lips_lost": prompting.lips_lost(behaviour.prompted),
        "lips_lost_on_renders": prompting.lips_lost(ceiling.prompted),
        "takes": [row_of(take) for take in behaviour.prompted],
        "switches": [asdict(one) for one in switch_rows(behaviour)],
    }


def row_of(take: Prompted) -> dict[str, object]:
    """One prompted take as report.json tells it."""
    return {
        "side": take.side,
        "value": take.value,
        "person": take.person + 1,
        "prompt": take.prompt,
        "mouth_correlation": take.lips,
    }


@dataclass(frozen=True, slots=True)
class SwitchRow:
    """One change of a prompt: seconds until half of it is there, and how far it came in the end,
    where 1 is as far as the world's own motion; of the model and of the renders."""

    before: str
    after: str
    prompts: tuple[str, str]
    seconds: float
    reached: float
    seconds_on_renders: float
    reached_on_renders: float


def switch_rows(behaviour: Behaviour) -> list[SwitchRow]:
    """One line a switch."""
    return [
        SwitchRow(
            take.before, take.after, take.prompts,
            switching.seconds_of(take), switching.course_of(take)[1],
            switching.seconds_of(world), switching.course_of(world)[1],
        )
        for take, world in zip(
            behaviour.switches, switching.of_renders(behaviour.switches), strict=True
        )
    ]  # fmt: skip


ADHERED, FULLY = Range(0.85), Range(0.95)
NO_JUMP = Range(None, 2.0)
LIKE_WORLD = "as in the world's own renders"
TEXT, LISTENS = "Text", "Listening"


def _side(side: str, title: str, values: Sequence[str]) -> Bar:
    meaning = f"The same for prompts that ask for one of: {', '.join(values)}."
    return Bar(f"adherence_{side}", title, meaning, "share", ADHERED, FULLY, TEXT)


BEHAVIOUR_BARS: tuple[Bar, ...] = (
    Bar(
        "prompt_adherence",
        "Does what a prompt asks",
        "Share of takes in which a judge, trained on the world's own motion, names what the prompt "
        "asked for, in wording that training never saw.",
        "share", ADHERED, FULLY, TEXT, True,
    ),
    _side("expression", "in the face", tuple(SIDES["expression"])),
    _side("energy", "in its energy", tuple(SIDES["energy"])),
    _side("head", "with the head", tuple(SIDES["head"])),
    _side("gaze", "with the eyes", tuple(SIDES["gaze"])),
    Bar(
        "lips_under_prompts",
        "Lips under any prompt",
        "By how many points (hundredths of the correlation) the mouth follows its voice better "
        "under a prompt than when the same person is as usual; of the worst value, mean over "
        "people.",
        "points", Range(-2.0), LIKE_WORLD, TEXT, True,
    ),
    Bar(
        "switches_followed",
        "Follows a prompt that changes",
        "Share of changed prompts after which the face goes at least half as far as the world's "
        "own would.",
        "share", ADHERED, FULLY, TEXT,
    ),
    Bar(
        "switch_seconds",
        "Time to follow",
        "Until half of the change is there, of the slowest that follows; from the chunk that "
        "brings the prompt, without the way to a browser.",
        "seconds", Range(None, 1.0), LIKE_WORLD, TEXT, True,
    ),
    Bar(
        "switch_jump_picture",
        "Jump of the picture",
        "The largest change from one frame to the next in the second after a changed prompt, over "
        "that of a usual second of the same take; the largest of all takes.",
        "plain", NO_JUMP, LIKE_WORLD, TEXT,
    ),
    Bar(
        "switch_jump_pose",
        "Jump of the pose",
        "The same of head, smile and brows as the probe reads them.",
        "plain", NO_JUMP, LIKE_WORLD, TEXT,
    ),
    Bar(
        "listening_closed",
        "Mouth closed while listening",
        "Share of frames with a closed mouth while somebody else has the word, whose voice bleeds "
        "into the microphone.",
        "share", Range(0.98), Range(0.995), LISTENS, True,
    ),
    Bar(
        "listening_gaze_at_viewer",
        "Looks at who speaks",
        "Share of the time of listening in which the eyes are on the viewer.",
        "share", "attentive", LIKE_WORLD, LISTENS,
    ),
    Bar(
        "listening_nods_a_minute",
        "Nods a minute",
        "Nods while listening.",
        "a minute", "attentive", LIKE_WORLD, LISTENS,
    ),
    Bar(
        "listening_smile",
        "Smiles while listening",
        "How much more the face smiles than while it speaks; 1 is the broadest smile.",
        "plain", "small smiles", LIKE_WORLD, LISTENS,
    ),
    Bar(
        "turn_jump_picture",
        "Jump of the picture at a turn",
        "The largest change from one frame to the next in the second after somebody else takes or "
        "leaves the word, over that of a usual second of the same take; the largest of all turns.",
        "plain", "without a jump", LIKE_WORLD, LISTENS,
    ),
    Bar(
        "turn_jump_pose",
        "Jump of the pose at a turn",
        "The same of head, smile and brows as the probe reads them.",
        "plain", "without a jump", LIKE_WORLD, LISTENS,
    ),
)  # fmt: skip

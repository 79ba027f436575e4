"""The page's sections on what a model does when it is told something: prompts, and turns.

Writes the strips that they show beside the page. Every word that comes from outside is escaped. It
makes no figures.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from soul.training import plots
from soul.training.bars import told
from soul.training.behaviour import Behaviour, SwitchRow, switch_rows
from soul.training.page import MODEL_AND_WORLD, figure, film, legend, number, section, table
from soul.training.prompting import USUAL, chance, confusion, lips_lost
from soul.training.strips import Strip, write_strip
from soul.training.switching import course_of, of_renders

SHOWN = 3  # switches and turns with a plot and a strip


def behaviour_sections(behaviour: Behaviour, folder: Path) -> list[str]:
    """The sections that `behaviour` has takes for, as HTML; their pictures go into `folder`."""
    sections = []
    if behaviour.prompted:
        sections += [prompts_section(behaviour, folder), lips_section(behaviour)]
    if behaviour.switches:
        sections.append(switches_section(behaviour, folder))
    if behaviour.turns:
        sections.append(turns_section(behaviour, folder))
    return sections


def shown(strip: Strip, name: str, caption: str, folder: Path) -> str:
    """A strip as a file of that name, and the figure that shows it."""
    write_strip(strip, folder / name)
    return film(name, caption)


def prompts_section(behaviour: Behaviour, folder: Path) -> str:
    takes, ceiling = behaviour.prompted, behaviour.of_renders()
    lead = (
        f"{len(takes)} takes whose prompt asks for one thing, in words that training never saw. A "
        "judge, trained on the drawn world’s own motion, sees what the probe reads from a take and "
        "names what was asked for. Each row of a table is what was asked, each column what was "
        "named: counts of the model’s takes, and in brackets of the world’s own renders of the "
        f"same takes. Guessing would be right in {told(chance(takes), 'share')} of them."
    )
    figures, world = behaviour.figures(), ceiling.figures()
    rows = [
        (side, 100.0 * figures[f"adherence_{side}"], 100.0 * world[f"adherence_{side}"])
        for side in behaviour.judges
    ]
    drawn = plots.pairs("Share of takes in which the judge names what was asked", rows, " %")
    body = legend(*MODEL_AND_WORLD)
    body += figure(drawn, "Share of takes in which the judge names what was asked, by side.")
    seen, seen_world = (confusion(b.prompted, b.judges) for b in (behaviour, ceiling))
    for side in behaviour.judges:
        body += f"<h3>{escape(side)}</h3>" + confusion_table(seen[side], seen_world[side])
    for take in takes:
        if take.strip is not None:
            caption = f"Asked for {take.value}: “{take.prompt}”. The portrait, then the take."
            body += shown(take.strip, f"prompt-{take.value}.webp", caption, folder)
    return section("What a prompt asks for", lead, body)


Counts = Mapping[str, Mapping[str, int]]


def confusion_table(model: Counts, world: Counts) -> str:
    """What was named, by what was asked."""
    rows = []
    for asked, counts in model.items():
        cells = "".join(
            f"<td>{count} <small>({world[asked][named]})</small></td>"
            for named, count in counts.items()
        )
        rows.append(f'<tr><th scope="row">{escape(asked)}</th>{cells}</tr>')
    return table(("asked", *model), rows)


def lips_section(behaviour: Behaviour) -> str:
    lead = (
        "The same person says the same under every value of a side. What the mouth’s correlation "
        "with the truth gains or loses against being as usual on that side ("
        f"{', '.join(USUAL.values())}), in points; a prompt may cost 2."
    )
    world = lips_lost(behaviour.of_renders().prompted)
    rows = [
        (value, points, world[side][value])
        for side, values in lips_lost(behaviour.prompted).items()
        for value, points in values.items()
    ]
    drawn = plots.pairs("Points of lip-sync under each prompt", rows, " points", -2.0)
    caption = "Left of zero the lips follow less well than usual; the upright line is the bar."
    return section("Lips under a prompt", lead, legend(*MODEL_AND_WORLD) + figure(drawn, caption))


def switches_section(behaviour: Behaviour, folder: Path) -> str:
    lead = (
        "The prompt changes in the middle of a take. How far the face has come, from what it was "
        "to what the world’s own face would be: half of it has to be there within a second, and "
        "no frame may jump."
    )
    body = legend(("model", "model"), ("truth", "the world’s own renders"))
    for n, take in enumerate(behaviour.switches[:SHOWN], 1):
        (world,) = of_renders([take])
        lines = {"truth": course_of(world)[0], "model": course_of(take)[0]}
        label = f"From {take.before} to {take.after}: how far the face has come"
        caption = f"{label}. “{take.prompts[0]}”, then “{take.prompts[1]}” at the triangle."
        body += figure(
            plots.curves(label, lines, marks=[take.at], ends=("as before", "there")), caption
        )
        body += shown(take.strip, f"switch-{n}.webp", f"{label}: a second around it.", folder)
    body += table(("from", "to", "half there", "in the end", "world: half there", "in the end"),
                  [switch_line(row) for row in switch_rows(behaviour)])  # fmt: skip
    return section("A prompt that changes", lead, body)


def switch_line(row: SwitchRow) -> str:
    cells = (
        row.before, row.after,
        number(row.seconds, "seconds"), number(row.reached, "share"),
        number(row.seconds_on_renders, "seconds"), number(row.reached_on_renders, "share"),
    )  # fmt: skip
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def turns_section(behaviour: Behaviour, folder: Path) -> str:
    lead = (
        "While somebody else has the word (filled bands), the face attends: its mouth stays closed "
        "although the other’s voice bleeds into the microphone, it looks at the viewer, nods now "
        "and then and smiles a little."
    )
    body = legend(("model", "model"), ("truth", "the world’s own renders"))
    for n, take in enumerate(behaviour.turns[:SHOWN], 1):
        lines = {"truth": take.renders.read.mouth_open, "model": take.seen.read.mouth_open}
        label = f"Opening of the mouth in turn-taking, take {n}"
        body += figure(plots.curves(label, lines, take.listening), f"{label}.")
        body += shown(take.strip, f"turn-{n}.webp", f"Listening, take {n}: portrait first.", folder)
    return section("A face that listens", lead, body + turns_table(behaviour))


ATTENTION: Sequence[tuple[str, str]] = (
    ("listening_gaze_at_viewer", "eyes on the viewer, share"),
    ("listening_nods_a_minute", "nods a minute"),
    ("listening_smile", "smile, more than while speaking"),
    ("turn_jump_picture", "largest change of the picture at a turn, over a usual one"),
    ("turn_jump_pose", "largest change of the pose at a turn, over a usual one"),
)


def turns_table(behaviour: Behaviour) -> str:
    figures, world = behaviour.figures(), behaviour.of_renders().figures()
    rows = [
        f"<tr><td>{escape(said)}</td><td>{number(figures[name], 'plain')}</td>"
        f"<td>{number(world[name], 'plain')}</td></tr>"
        for name, said in ATTENTION
    ]
    return table(("while listening", "model", "world"), rows)

"""The page that shows what a model can do: figures, plots and video strips for a stranger.

One file with its style inside and pictures beside it; nothing is fetched from elsewhere. Every word
that comes from outside (prompts, paths, machines) is escaped. It makes no figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from soul.training import plots
from soul.training.bars import Unit, Verdict, asked, told
from soul.training.conditions import CONDITIONS
from soul.training.conditions import Row as Spoken
from soul.training.figures import BACKGROUNDS, Figures, Row, Takes, Trial
from soul.training.recorded import Recorded
from soul.training.strips import LENGTH, Strip, write_strip

STYLE = Path(__file__).with_suffix(".css")
SHOWN = 3  # takes with plots and strips


@dataclass(frozen=True)
class Story:
    """All that the page tells. `about` is what is known of model and machine.

    `more` are sections that others have written, as HTML.
    """

    about: Mapping[str, object]
    takes: Takes
    seen: Figures
    ceiling: Figures
    verdicts: Sequence[Verdict]
    rows: Sequence[Row]
    strips: Sequence[Sequence[Strip]]
    conditions: Sequence[Spoken] = ()
    recorded: Recorded | None = None
    more: Sequence[str] = ()


def write_page(folder: Path, story: Story) -> None:
    """Write `folder`/index.html and the pictures of its strips."""
    for take, strips in enumerate(story.strips[:SHOWN], 1):
        for strip in strips:
            write_strip(strip, folder / picture_of(take, strip))
    (folder / "index.html").write_text(page(story), encoding="utf-8")


def picture_of(take: int, strip: Strip) -> str:
    return f"strip-{take}-{strip.moment.kind}.webp"


def page(story: Story) -> str:
    """The whole page as HTML."""
    model = escape(str(story.about.get("model", "a model")))
    style = STYLE.read_text(encoding="utf-8")
    sections = (
        headline(story.verdicts),
        strips_section(story),
        lips_section(story),
        silence_section(story),
        conditions_section(story.conditions),
        recorded_section(story.recorded),
        life_section(story),
        *story.more,
        all_figures(story.verdicts),
        all_takes(story.rows),
        method(story),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Lips and life of {model}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"{opening(model, story)}\n<main>\n{''.join(sections)}</main>\n</body>\n</html>\n"
    )


def opening(model: str, story: Story) -> str:
    trials = len(story.takes.trials)
    people = "One person speaks" if trials == 1 else f"{trials} people speak"
    reached = [v.met_bar for v in story.verdicts if v.met_bar is not None]
    return (
        f'<header><p class="eyebrow">Soul Live · evaluation</p><h1>Lips and life of {model}</h1>'
        f'<p class="lede">{people} here whom the model never saw, with voices that it never '
        "heard. It was given one portrait and the sound. A small trained eye, the probe, reads "
        "mouth, lids, brows, gaze and head from every picture that it painted, and the drawn world "
        "knows what they should have been. A ceiling is what the probe reads from the world’s own "
        "renders of the same takes: what a perfect model would get.</p>"
        f'<p class="count"><strong>{sum(reached)} of {len(reached)}</strong> measured bars are '
        "reached.</p></header>"
    )


def section(title: str, lead: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(lead)}</p>{body}</section>\n"


def headline(verdicts: Sequence[Verdict]) -> str:
    cards = "".join(card(verdict) for verdict in verdicts if verdict.bar.headline)
    return f'<section class="cards" aria-label="Headline figures">{cards}</section>\n'


def card(verdict: Verdict) -> str:
    bar = verdict.bar
    return (
        f'<article class="card"><h3>{escape(bar.title)}</h3>'
        f'<p class="value">{escape(told(verdict.value, bar.unit))}</p>{pill(verdict)}'
        f"<dl><dt>bar</dt><dd>{escape(asked(bar.bar, bar.unit))}</dd>"
        f"<dt>goal</dt><dd>{escape(asked(bar.goal, bar.unit))}</dd>"
        f"<dt>ceiling</dt><dd>{escape(told(verdict.on_renders, bar.unit))}</dd></dl>"
        f'<p class="meaning">{escape(bar.meaning)}</p></article>'
    )


def pill(verdict: Verdict) -> str:
    """The verdict in words: colour alone would not do."""
    if verdict.value is None:
        kind, said = "open", "not in these takes"
    elif verdict.met_bar is None:
        kind, said = "open", "judged by eye"
    elif verdict.met_goal:
        kind, said = "goal", "goal reached"
    else:
        kind, said = ("bar", "bar reached") if verdict.met_bar else ("missed", "bar missed")
    return f'<p class="pill {kind}">{said}</p>'


def strips_section(story: Story) -> str:
    shown = [
        strip_figure(take, trial, strip)
        for take, (trial, strips) in enumerate(
            zip(story.takes.trials, story.strips[:SHOWN], strict=False), 1
        )
        for strip in strips
    ]
    lead = (
        f"{LENGTH} consecutive frames, 40 ms apart, at the moments at which a mouth tells most. "
        "Above: what the model painted. Below: the same frames as the drawn world renders them. "
        "Head, gaze and blinks are the model's own and need not agree; the lips should."
    )
    return section("Frame by frame", lead, "".join(shown))


KINDS = {
    "open": "The mouth at its widest",
    "closure": "Lips closing on p, b or m",
    "silence": "In the middle of a silence",
    "blink": "A blink that the model was told of; the world blinks at other times",
}


def strip_figure(take: int, trial: Trial, strip: Strip) -> str:
    start, end = strip.seconds
    middle = strip.moment.frame - strip.first + 1
    caption = (
        f"{KINDS[strip.moment.kind]}: frame {middle} of {len(strip.model)}. "
        f"Take {take}, {start:.2f} to {end:.2f} s, “{trial.prompt}”."
    )
    return film(picture_of(take, strip), caption)


def film(name: str, caption: str) -> str:
    """The figure that shows the strip in a file of that name."""
    return (
        '<figure class="strip"><div class="film"><span>model</span><span>world</span>'
        f'<img src="{escape(name)}" alt="{escape(caption)}" loading="lazy"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def lips_section(story: Story) -> str:
    lead = (
        "How far the mouth is open, over time. Filled bands are silences in which it has to be "
        "closed; small triangles mark p, b and m, at which the lips have to meet."
    )
    spoken = [(n, t) for n, t in enumerate(story.takes.trials, 1) if t.spoken][:SHOWN]
    counts = story.seen.mouth_lag_histogram
    lags = plots.histogram("How often the mouth is late by how many frames", counts)
    body = legend(("model", "what the probe reads from the model"), ("truth", "the truth"))
    body += "".join(opening_figure(number, trial) for number, trial in spoken)
    body += figure(
        lags,
        f"Lag of the mouth in {sum(counts.values())} stretches of 2.4 s of speech, in frames of "
        "40 ms: to the right of 0 it is late, to the left early.",
    )
    model, world = (
        number(side.any_spoken_frame_closed, "share") for side in (story.seen, story.ceiling)
    )
    body += (
        "<p>Lips meet often in speech: at any spoken frame, whatever the sound, they are seen "
        f"closed within 80 ms in {model} of the model’s frames and {world} of the world’s.</p>"
    )
    return section("Opening against truth", lead, body)


def opening_figure(number: int, trial: Trial) -> str:
    caption = f"Take {number}, “{trial.prompt}”."
    lines = {"truth": trial.truth.mouth_open, "model": trial.seen.mouth_open}
    label = f"Opening of the mouth in take {number}: model and truth"
    drawn = plots.curves(label, lines, trial.silent, trial.closures.tolist())
    return figure(drawn, caption)


def figure(drawn: str, caption: str) -> str:
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def legend(*entries: tuple[str, str]) -> str:
    """Colours and what they stand for; classes are the plots' own."""
    items = "".join(f'<li class="{kind}">{escape(said)}</li>' for kind, said in entries)
    return f'<ul class="legend">{items}</ul>'


MODEL_AND_WORLD = (("model", "model"), ("world", "the same, read from the world's own renders"))


def silence_section(story: Story) -> str:
    lead = (
        "The same people pause under four backgrounds, each 30 dB below speech. Bars are the share "
        "of silent frames in which the mouth is seen open; less is better, and the upright line "
        "is the bar."
    )
    rows = [
        (background.replace("_", " "), open_share(story.seen, background),
         open_share(story.ceiling, background))
        for background in BACKGROUNDS
    ]  # fmt: skip
    drawn = plots.pairs("Share of silent frames with an open mouth", rows, " %", 2.0)
    heard = [hush for hush in story.takes.hushes if hush.background == BACKGROUNDS[0]]
    frames = sum(int(hush.silent.sum()) for hush in heard)
    caption = f"{frames} silent frames in {len(heard)} of such takes, under each background."
    return section("A mouth that waits", lead, legend(*MODEL_AND_WORLD) + figure(drawn, caption))


def open_share(figures: Figures, background: str) -> float | None:
    """Percent of the silent frames under a background in which the mouth is seen open."""
    closed = {
        "clean": figures.closed_in_silence_clean,
        "room_noise": figures.closed_in_silence_room_noise,
        "keyboard": figures.closed_in_silence_keyboard,
        "music": figures.closed_in_silence_music,
    }[background]
    return None if closed != closed else 100.0 * (1.0 - closed)


SPOKEN = ("", "opening", "lag", "p b m closed", "silence closed")


def conditions_section(rows: Sequence[Spoken]) -> str:
    """Nothing if there are none."""
    if not rows:
        return ""
    lead = (
        f"{rows[0].takes} takes of others whom the model never saw, the same sentences each time, "
        "in other voices and through other microphones. Below each figure stands the ceiling."
    )
    body = [spoken_row(row, CONDITIONS[row.name]) for row in rows]
    return section("Other voices, other microphones", lead, table(SPOKEN, body))


def recorded_section(recorded: Recorded | None) -> str:
    """Nothing if no recording was given."""
    if recorded is None:
        return ""
    known = recorded.aligner
    lead = (
        "Recordings of people, each played by another held-out face. Nobody filmed the speakers: "
        "what their lips did is aligned, not seen. eSpeak NG spoke each text, dynamic time warping "
        "laid its sound along the recording, and the mouth follows from the phones at the times "
        f"thus found. In {known.sentences} synthetic sentences, whose times are known, half of "
        f"{known.sounds} sounds are found within {known.median_error_ms:.0f} ms, "
        f"{number(known.within_40_ms, 'share')} within 40 ms, and the opening found this way "
        f"correlates with the known one by {number(known.opening_correlation, 'correlation')}: "
        "even a perfect mouth would not be measured much above that here, and in people’s voices "
        "alignment may be worse. Below each figure stands what the probe reads from renders of the "
        "aligned motion."
    )
    body = [spoken_row(recorded.together, f"{recorded.together.takes} of them")]
    body += [
        spoken_row(one.row, f"{one.language}, {one.seconds:.1f} s") for one in recorded.speakers
    ]
    return section("Recorded voices", lead, table(SPOKEN, body))


def spoken_row(row: Spoken, said: str) -> str:
    """A condition's or a recording's name, and its figures over their ceilings."""
    pairs: tuple[tuple[float, float, Unit, str], ...] = (
        (row.model.mouth_correlation, row.on_renders.mouth_correlation, "correlation", ""),
        (row.model.mouth_lag_frames, row.on_renders.mouth_lag_frames, "frames", ""),
        (row.model.bilabials_closed, row.on_renders.bilabials_closed, "share",
         f" of {row.bilabials}"),
        (row.model.closed_in_silence, row.on_renders.closed_in_silence, "share",
         f" of {row.silent_frames} frames"),
    )  # fmt: skip
    cells = "".join(
        f"<td>{escape(number(value, unit) + much)}<small>{escape(number(top, unit))}</small></td>"
        for value, top, unit, much in pairs
    )
    return f"<tr><td>{escape(row.name)}<small>{escape(said)}</small></td>{cells}</tr>"


def life_section(story: Story) -> str:
    lead = (
        "A face that is alive blinks irregularly, looks about, and moves brows and head with its "
        "voice. How much is right is for a viewer to say; here it stands beside the world's own "
        "renders of the same takes."
    )
    by_name = {verdict.bar.figure: verdict for verdict in story.verdicts}
    moves = ("gaze_motion", "brow_motion", "head_motion")
    ties = (
        *("brows_follow_pitch", "brows_follow_loudness"),
        *("nods_follow_pitch", "nods_follow_loudness"),
    )
    drawn = [
        plots.pairs(label, [(by_name[n].bar.title, by_name[n].value, by_name[n].on_renders)
                            for n in names])
        for label, names in (("How much the face moves", moves), ("What follows the voice", ties))
    ]  # fmt: skip
    lids = plots.curves("Lids over time in one long take", {"model": story.takes.stare.seen})
    body = legend(*MODEL_AND_WORLD)
    body += figure(drawn[0], "How much gaze, brows and head move: deviations within a take.")
    body += figure(drawn[1], "What moves with the voice: correlations over all takes with speech.")
    body += figure(lids, "The model's lids in one long take: every notch is a blink.")
    return section("Signs of life", lead, body)


def all_figures(verdicts: Sequence[Verdict]) -> str:
    lead = (
        "What has to hold, and what is hoped for. Where a bar is in words, a viewer judges, and "
        "the ceiling beside the figure is what to compare it with."
    )
    head = ("figure", "value", "ceiling", "bar", "goal", "")
    rows = []
    for group in dict.fromkeys(verdict.bar.group for verdict in verdicts):
        rows.append(f'<tr><th colspan="6" scope="rowgroup">{escape(group)}</th></tr>')
        rows += [figure_row(verdict) for verdict in verdicts if verdict.bar.group == group]
    return section("Every figure", lead, table(head, rows))


def figure_row(verdict: Verdict) -> str:
    bar = verdict.bar
    cells = (
        told(verdict.value, bar.unit),
        told(verdict.on_renders, bar.unit),
        asked(bar.bar, bar.unit),
        asked(bar.goal, bar.unit),
    )
    return (
        f"<tr><td>{escape(bar.title)}<small>{escape(bar.meaning)}</small></td>"
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}<td>{pill(verdict)}</td></tr>"
    )


def table(head: Sequence[str], rows: Sequence[str]) -> str:
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return (
        f'<div class="wide"><table><thead><tr>{names}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def all_takes(rows: Sequence[Row]) -> str:
    head = ("take", "prompt", "opening", "lag", "shape", "p b m closed", "silence closed", "blinks")
    body = []
    for row in rows:
        cells = (
            str(row.take),
            row.prompt,
            number(row.mouth_correlation, "correlation"),
            number(row.mouth_lag_frames, "frames"),
            number(row.mouth_width_correlation, "correlation"),
            f"{number(row.bilabials_closed, 'share')} of {row.bilabials}",
            number(row.closed_in_silence, "share"),
            str(row.blinks),
        )
        body.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    lead = "One line a person. A take in which nobody speaks has no correlation."
    return section("Take by take", lead, table(head, body))


def number(value: float, unit: Unit) -> str:
    """A figure of one take; nan is one that it does not have."""
    return told(None if value != value else value, unit)


def method(story: Story) -> str:
    lead = (
        "Faces, voices, sentences and prompts are from the held-out part of the project's own "
        "drawn world: synthetic voices (eSpeak NG, Flite) and illustrated people. "
    )
    if story.recorded is None:
        lead += (
            "No recording of a person is among them, and nothing here says how the model does on "
            "one."
        )
    else:
        lead += (
            "Recordings of people are in the table of recorded voices alone, and their truth is "
            "aligned, not seen."
        )
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in known(story.about)
    )
    return section("How it was measured", lead, f'<dl class="facts">{facts}</dl>')


def known(about: Mapping[str, object]) -> list[tuple[str, str]]:
    """What is known, flat: a nested entry stands under its own name."""
    found: list[tuple[str, str]] = []
    for name, value in about.items():
        inner = known(value) if isinstance(value, Mapping) else [(name, str(value))]
        found += inner
    return found

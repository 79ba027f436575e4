"""The page tells what it must, asks nothing of the network, and escapes what it was told."""

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from made_takes import frozen, made_take, made_takes, seen
from page_tags import read
from soul.training.alignment import Accuracy
from soul.training.bars import BARS, judge
from soul.training.conditions import CONDITIONS, Lips
from soul.training.conditions import Row as Spoken
from soul.training.figures import Trial, figures, row_of
from soul.training.page import Story, page, write_page
from soul.training.recorded import Recorded, Speaker
from soul.training.strips import Moment, strip_at

ABOUT = {"model": "soul-mini", "seed": 7, "machine": {"cpu": "a <fast> one", "cores": 2}}


def story(*trials: Trial, about: Mapping[str, object] = ABOUT) -> Story:
    takes = made_takes(*trials)
    found, ceiling = figures(takes), figures(takes.of_renders())
    verdicts = judge(asdict(found), asdict(ceiling))
    rows = [row_of(number, trial) for number, trial in enumerate(trials, 1)]
    pictures = np.zeros((400, 256, 256, 3), np.uint8)[:20]
    strips = [[strip_at(Moment("open", 9), pictures, pictures)] for _ in trials]
    return Story(about, takes, found, ceiling, verdicts, rows, strips)


def test_the_page_holds_every_figure_with_bar_goal_and_ceiling() -> None:
    tags = read(page(story(made_take())))
    words = " ".join(tags.words)
    for bar in BARS:
        assert bar.title in words
        assert bar.meaning in words
    for said in ("goal reached", "at least 0.92", "98 %", "judged by eye", "soul-mini", "11 of 11"):
        assert said in words


def test_a_broken_model_is_told_so() -> None:
    broken = seen(made_take(), mouth_open=np.full(400, 0.5, np.float32))
    words = " ".join(read(page(story(broken))).words)
    assert "bar missed" in words
    assert "4 of 11" in words
    assert "0.0 %" in words


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    write_page(tmp_path, story(made_take(), made_take()))
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    sources = read(html).sources
    assert sources == ["strip-1-open.webp", "strip-2-open.webp"]
    assert all((tmp_path / source).is_file() for source in sources)
    assert not re.search(r"https?:|url\(|@import|<script|<link", html)


LIPS, TOP = Lips(0.81, 1.0, 0.97, 0.9), Lips(0.96, 0.0, 1.0, 0.99)


def test_conditions_stand_in_one_table_with_their_ceilings() -> None:
    assert "Other voices" not in page(story(made_take()))
    rows = [Spoken(name, 3, 120, 40, LIPS, TOP) for name in CONDITIONS]
    html = page(replace(story(made_take()), conditions=rows))
    words = read(html).words
    for name, said in CONDITIONS.items():
        assert name in words
        assert said in words
    assert words.count("0.81") == words.count("0.96") == len(CONDITIONS)
    assert words.count("97.0 % of 120 frames") == len(CONDITIONS)
    assert words.count("90.0 % of 40") == len(CONDITIONS)
    assert "nothing here says how the model does on one" in html


def test_recordings_are_told_as_aligned_not_seen() -> None:
    evil = "<b>who</b>"
    speaker = Speaker("pt-br", 6.2, 2.0, Spoken(evil, 1, 0, 0, LIPS, TOP))
    quiet = replace(LIPS, closed_in_silence=float("nan"))
    together = Spoken("all recordings", 1, 0, 4, quiet, TOP)
    known = Accuracy(8, 300, 5.4, 0.94, 0.87)
    html = page(replace(story(made_take()), recorded=Recorded(known, together, (speaker,))))
    said = " ".join(read(html).words)
    assert "aligned, not seen" in said
    assert "half of 300 sounds are found within 5 ms, 94.0 % within 40 ms" in said
    assert "correlates with the known one by 0.87" in said
    assert "pt-br, 6.2 s" in said
    assert "— of 0 frames" in said
    assert "No recording of a person" not in said
    assert evil not in html


def test_what_comes_from_outside_is_escaped() -> None:
    evil = '<img src=x onerror="alert(1)">&'
    html = page(story(made_take(evil), about={**ABOUT, "model": evil}))
    assert evil not in html
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;" in html
    tags = read(html)
    assert "".join(tags.words).count(evil) >= 3
    assert "a <fast> one" in tags.words


def test_what_takes_do_not_have_is_no_number() -> None:
    silent = replace(made_take(), truth=frozen(made_take()), closures=np.zeros(0, np.int64))
    takes = made_takes(made_take(), silent)
    told = replace(story(made_take(), silent), takes=replace(takes, hushes=()))
    found = figures(told.takes)
    verdicts = judge(asdict(found), asdict(found))
    html = page(replace(told, seen=found, ceiling=found, verdicts=verdicts))
    read(html)
    assert "not in these takes" in html
    assert "nan" not in re.sub(r"<style>.*?</style>", "", html, flags=re.S)

"""The page tells what it must, asks nothing of the network, and escapes what it was told."""

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from made_takes import frozen, made_take, made_takes, seen
from page_tags import read
from soul.training.bars import BARS, judge
from soul.training.figures import Trial, figures, row_of
from soul.training.page import Story, page, write_page
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
    assert sources == ["strip-1-open.png", "strip-2-open.png"]
    assert all((tmp_path / source).is_file() for source in sources)
    assert not re.search(r"https?:|url\(|@import|<script|<link", html)


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

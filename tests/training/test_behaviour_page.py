"""The sections tell what was asked and what was seen, and leave out what was not tried."""

from dataclasses import replace
from pathlib import Path

from made_behaviour import behaved, prompted
from page_tags import read
from soul.training.behaviour_page import behaviour_sections


def test_the_sections_show_every_kind_of_take(tmp_path: Path) -> None:
    tags = read("".join(behaviour_sections(behaved(), tmp_path)))
    assert sorted(set(tags.sources)) == ["prompt-happy.webp", "switch-1.webp", "turn-1.webp"]
    assert all((tmp_path / source).is_file() for source in tags.sources)
    words = " ".join(tags.words)
    for said in ("What a prompt asks for", "Lips under a prompt", "A prompt that changes",
                 "A face that listens", "make it happy", "surprised", "16.7 %"):  # fmt: skip
        assert said in words
    assert "nan" not in words


def test_what_was_not_tried_has_no_section(tmp_path: Path) -> None:
    some = replace(behaved(), prompted=(), judges={}, right={}, turns=())
    (section,) = behaviour_sections(some, tmp_path)
    assert "A prompt that changes" in section
    assert [path.name for path in tmp_path.iterdir()] == ["switch-1.webp"]


def test_what_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    evil = '<img src=x onerror="alert(1)">&'
    takes = tuple(replace(t, prompt=evil) for t in (prompted("neutral"), prompted("happy")))
    html = "".join(behaviour_sections(replace(behaved(), prompted=takes), tmp_path))
    assert evil not in html
    assert "".join(read(html).words).count(evil) >= 1

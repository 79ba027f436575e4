"""The page's files fit together, and with what the server says; no browser needed."""

import re
from html.parser import HTMLParser

import pytest

from soul.session.stats import SessionStats
from soul.signaling.protocol import (
    MAX_PROMPT_CHARACTERS,
    Answer,
    Ended,
    Error,
    Listen,
    Ping,
    Pong,
    Prompt,
    Prompted,
    Start,
    Stop,
)
from soul.web import STATIC

SCRIPTS = sorted(STATIC.glob("*.js"))
PAGE = (STATIC / "index.html").read_text()
STYLE = (STATIC / "style.css").read_text()


class Tags(HTMLParser):
    """Every tag of the page with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(PAGE)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def by_id(self, name: str) -> dict[str, str | None]:
        return next(attrs for _, attrs in self.tags if attrs.get("id") == name)


def test_what_other_programs_rely_on() -> None:
    tags = Tags()
    video = tags.by_id("avatar")
    assert ("video", video) in tags.tags
    assert {"autoplay", "playsinline"} <= set(video)
    assert re.search(r'<button id="talk".*?>Start talking<', PAGE, re.S)
    assert tags.by_id("alert")["role"] == "alert"
    assert "window.__soul" in (STATIC / "app.js").read_text()


def test_every_element_that_a_script_asks_for_is_there() -> None:
    there = {attrs["id"] for _, attrs in Tags().tags if attrs.get("id")}
    for script in SCRIPTS:
        text = script.read_text()
        asked = set(re.findall(r"""(?:\$|#set)\('([a-z0-9-]+)'""", text))
        assert asked <= there, script.name


def test_every_control_has_a_name() -> None:
    for tag, attrs in Tags().tags:
        if tag == "img":
            assert "alt" in attrs
    assert re.search(r'<label [^>]*><input id="attend" [^>]*role="switch"><span>[^<]+<', PAGE)
    assert 'for="prompt"' in PAGE


@pytest.mark.parametrize("path", [*SCRIPTS, STATIC / "index.html", STATIC / "style.css"], ids=str)
def test_nothing_is_fetched_from_elsewhere(path: object) -> None:
    text = (STATIC / str(path)).read_text()
    assert re.findall(r"https?://(?!www\.w3\.org)[^\s'\"`]+", text) == []


def test_every_imported_file_is_there() -> None:
    for script in SCRIPTS:
        for name in re.findall(r"from '\./([^']+)'", script.read_text()):
            assert (STATIC / name).is_file()
    for name in re.findall(r'"/static/([^"]+)"', PAGE):
        assert (STATIC / name).is_file()


def test_the_panel_reads_figures_that_a_session_measures() -> None:
    read = set(re.findall(r"stats\.([a-z0-9_]+)", (STATIC / "panel.js").read_text()))
    assert read
    assert read <= set(SessionStats.__dataclass_fields__)


def test_the_call_speaks_the_protocol() -> None:
    text = (STATIC / "call.js").read_text()
    for message in (Start, Prompt, Listen, Stop, Ping):
        assert f"type: '{message.type}'" in text
    for said in (Answer, Prompted, Ended, Error):
        assert f"'{said.type}'" in text
    assert Pong.type in text


def test_the_prompt_stays_usable_during_a_call_and_is_as_long_as_a_server_takes() -> None:
    assert int(Tags().by_id("prompt")["maxlength"] or 0) == MAX_PROMPT_CHARACTERS
    for script in SCRIPTS:
        assert not re.search(r"(prompt|field|mood)\S*\.disabled", script.read_text()), script.name
    assert not re.search(r"\.running [^{]*\.manner[^{]*\{[^}]*display: none", STYLE)


def test_suggestions_are_buttons_with_a_name_that_fill_the_field() -> None:
    groups = re.findall(r'<div role="group" aria-label="\w+">(.*?)</div>', PAGE, re.S)
    button = r'<button type="button" aria-pressed="false" value="([^"]+)">([\w ]+)<'
    expressions, movements = (re.findall(button, group) for group in groups)
    names = ["Neutral", "Happy", "Sad", "Surprised", "Angry", "Tender"]
    assert [name for _, name in expressions] == names
    names = ["Calm", "Lively", "Nodding", "Shaking", "Tilting", "Looks away"]
    assert [name for _, name in movements] == names
    for words, name in expressions + movements:
        assert name.lower() in words
        assert "," not in words  # the field is read back part by part
    assert Tags().by_id("manner-state")["role"] == "status"

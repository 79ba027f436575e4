"""Any text in → an answer or one clean error; and the order of a conversation."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soul.signaling.protocol import (
    MAX_MESSAGE_BYTES,
    Answer,
    Close,
    CloseSocket,
    Ended,
    Error,
    Listen,
    Open,
    Ping,
    Pong,
    Prompt,
    Prompted,
    ProtocolError,
    Send,
    SetListening,
    SetPrompt,
    Signaling,
    Start,
    Stop,
    parse_client,
    parse_server,
    serialise,
)

START = Start(portrait="anna", sdp="v=0\r\n", prompt="calm")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["start", "prompt", "listen", "stop", "ping", "answer", "", "Start"]
        )
        | JSON
    },
    optional={"portrait": JSON, "sdp": JSON | st.just("v=0"), "prompt": JSON, "extra": JSON},
)


def started(**changes: Any) -> str:
    return json.dumps({"type": "start", "portrait": "anna", "sdp": "v=0\r\n", **changes})


def prompted(**fields: Any) -> str:
    return json.dumps({"type": "prompt", **fields})


def refusal(data: str | bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        parse_client(data)
    return caught.value


@given(JSON | NEARLY)
def test_any_json_gives_a_message_or_one_clean_sentence(value: object) -> None:
    try:
        message = parse_client(json.dumps(value))
    except ProtocolError as error:
        refused = error
    else:
        assert isinstance(message, Start | Prompt | Stop | Ping)
        return
    assert refused.close in (Close.INVALID_DATA, Close.POLICY, Close.TOO_BIG)
    assert refused.error.code
    assert refused.error.message
    assert "\n" not in refused.error.message


@given(st.text() | st.binary())
def test_any_text_gives_actions_and_never_an_exception(data: str | bytes) -> None:
    signaling = Signaling()
    actions = signaling.receive(data)
    assert actions
    assert signaling.phase in ("opening", "waiting", "closed")


@pytest.mark.parametrize("message", [START, Prompt("glad"), Prompt(""), Stop(), Ping()])
def test_a_client_message_survives_the_wire(message: Start | Prompt | Stop | Ping) -> None:
    assert parse_client(serialise(message)) == message


@pytest.mark.parametrize(
    "message",
    [Answer("v=0", "s"), Prompted(1.28), Pong(), Ended("It is over."), Error("full", "no place")],
)
def test_a_server_message_survives_the_wire(
    message: Answer | Prompted | Pong | Ended | Error,
) -> None:
    assert parse_server(serialise(message)) == message


@pytest.mark.parametrize("seconds", ["1", "null", "true", "-0.5", "NaN", "1e999", "[]"])
def test_a_server_that_does_not_say_a_second_is_named(seconds: str) -> None:
    data = f'{{"type": "prompted", "seconds": {seconds}}}'
    if seconds == "1":
        assert parse_server(data) == Prompted(1.0)
        return
    with pytest.raises(ProtocolError, match='"seconds" of "prompted" is'):
        parse_server(data)


@pytest.mark.parametrize(
    ("data", "close", "words"),
    [
        (b"\x00\x01", Close.UNSUPPORTED, "binary message of 2 bytes"),
        ("{", Close.INVALID_DATA, "is not JSON"),
        ("[" * 50_000, Close.INVALID_DATA, "is not JSON"),
        ("[]", Close.POLICY, "expected a JSON object"),
        ('{"type": "dance"}', Close.POLICY, '\'dance\'; expected "start", "prompt", '),
        ('{"type": ["start"]}', Close.POLICY, "'start'"),
        ('{"type": "ping", "x": 1}', Close.POLICY, "unknown field 'x'"),
        (started(portrait="../../etc"), Close.POLICY, "'../../etc'"),
        (started(portrait="upload:zz"), Close.POLICY, "'upload:zz'"),
        (started(portrait=7), Close.POLICY, "7; expected text"),
        (started(prompt=None), Close.POLICY, "None; expected text"),
        (started(prompt="a" * 501), Close.POLICY, "501 characters; at most 500"),
        ('{"type": "listen", "listening": 1}', Close.POLICY, "1; expected true or false"),
        (prompted(), Close.POLICY, '"prompt" of "prompt" is None; expected text'),
        (prompted(prompt=3), Close.POLICY, "3; expected text"),
        (prompted(prompt="a" * 501), Close.POLICY, "501 characters; at most 500"),
        (prompted(prompt="a", now=1), Close.POLICY, "unknown field 'now'"),
        (started(sdp="hello"), Close.INVALID_DATA, "'hello'; expected an offer"),
        (started(sdp="v=0" + "x" * MAX_MESSAGE_BYTES), Close.TOO_BIG, "at most 65536"),
        ('{"type": "start"}', Close.POLICY, '"portrait" of "start" is None'),
    ],
)
def test_a_wrong_message_is_named(data: str | bytes, close: Close, words: str) -> None:
    refused = refusal(data)
    assert refused.close is close
    assert words in refused.error.message


def test_a_conversation_in_order() -> None:
    signaling = Signaling()
    assert signaling.receive(serialise(Ping())) == [Send(Pong())]
    assert signaling.receive(serialise(START)) == [Open(START)]
    assert signaling.receive(serialise(Ping())) == [Send(Pong())]
    assert signaling.opened("v=0 answer", "s1") == [Send(Answer("v=0 answer", "s1"))]
    assert signaling.receive(serialise(Listen(True))) == [SetListening(True)]
    for prompt in ("glad", ""):
        assert signaling.receive(serialise(Prompt(prompt))) == [SetPrompt(prompt)]
        assert signaling.prompted(1.28) == [Send(Prompted(1.28))]
    last, close = signaling.receive(serialise(Stop()))
    assert isinstance(last, Send)
    assert isinstance(last.message, Ended)
    assert isinstance(close, CloseSocket)
    assert close.code is Close.NORMAL
    assert signaling.receive(serialise(START)) == []


@pytest.mark.parametrize("opened", [False, True])
def test_a_second_start_ends_it(opened: bool) -> None:
    signaling = Signaling()
    signaling.receive(serialise(START))
    if opened:
        signaling.opened("v=0", "s")
    said, close = signaling.receive(serialise(START))
    assert isinstance(said, Send)
    assert isinstance(said.message, Error)
    assert said.message.code == "already_started"
    assert close == CloseSocket(Close.POLICY, said.message.message)


@pytest.mark.parametrize("early", [Stop(), Prompt("glad"), Listen(True)])
def test_what_comes_before_start_is_refused(early: Stop | Prompt | Listen) -> None:
    said, close = Signaling().receive(serialise(early))
    assert isinstance(said, Send)
    assert said.message == Error(
        "not_started", f'"{early.type}" came before "start"; nothing is running'
    )
    assert close == CloseSocket(Close.POLICY, said.message.message)


def test_of_prompts_while_it_opens_the_newest_waits_for_the_answer() -> None:
    signaling = Signaling()
    signaling.receive(serialise(START))
    for prompt in ("glad", "sad"):
        assert signaling.receive(serialise(Prompt(prompt))) == []
    answer = Send(Answer("v=0", "s"))
    assert signaling.opened("v=0", "s") == [answer, SetPrompt("sad")]


def test_who_has_the_word_is_told_once_the_session_is_there() -> None:
    signaling = Signaling()
    assert signaling.receive(serialise(START)) == [Open(START)]
    assert signaling.receive(serialise(Listen(True))) == []
    answered = signaling.opened("v=0", "s")
    assert answered[-1] == SetListening(True)
    assert signaling.receive(serialise(Listen(False))) == [SetListening(False)]


def test_a_prompt_after_the_end_is_not_heard() -> None:
    signaling = Signaling()
    signaling.receive(serialise(START))
    signaling.opened("v=0", "s")
    signaling.receive(serialise(Stop()))
    assert signaling.receive(serialise(Prompt("glad"))) == []
    assert signaling.prompted(1.28) == []


def test_a_session_that_comes_too_late_is_not_announced() -> None:
    signaling = Signaling()
    signaling.receive(serialise(START))
    signaling.receive(serialise(Stop()))
    assert signaling.opened("v=0", "s") == []
    assert signaling.ended("again") == []
    assert signaling.failed(ProtocolError("x", "y", Close.POLICY)) == []


def test_a_closed_conversation_hears_nothing() -> None:
    signaling = Signaling()
    signaling.ended("over")
    assert signaling.receive("nonsense") == []

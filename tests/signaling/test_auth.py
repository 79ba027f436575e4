"""Tokens, binding and origins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soul.signaling.auth import (
    AuthError,
    auth,
    check_binding,
    check_key,
    check_origin,
    is_loopback,
    issue,
    loopback_origins,
)

KEY = b"sixteen bytes or more"


def test_a_token_opens_until_it_expires() -> None:
    token = issue(KEY, 1_000)
    auth(token, KEY, 999)
    with pytest.raises(AuthError, match="expired 5 s ago"):
        auth(token, KEY, 1_005)


def test_without_a_key_everybody_may_come_in() -> None:
    auth(None, None, 0)
    auth("anything", None, 0)


@pytest.mark.parametrize("token", [None, ""])
def test_with_a_key_a_token_is_needed(token: str | None) -> None:
    with pytest.raises(AuthError, match="none was given"):
        auth(token, KEY, 0)


def test_another_servers_token_is_refused() -> None:
    with pytest.raises(AuthError, match="signature"):
        auth(issue(b"quite another secret", 1_000), KEY, 0)


def test_the_expiry_cannot_be_changed() -> None:
    version, _, signature = issue(KEY, 1_000).split(".")
    with pytest.raises(AuthError, match="signature"):
        auth(f"{version}.9999.{signature}", KEY, 0)


@given(st.text())
def test_no_text_opens_the_door_by_accident(token: str) -> None:
    with pytest.raises(AuthError):
        auth(token, KEY, 0)


def test_a_short_key_is_no_secret() -> None:
    assert check_key(KEY) == KEY
    with pytest.raises(AuthError, match="5 bytes"):
        check_key(b"short")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert is_loopback(host)
    check_binding(host, None, False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "soul.example"])
def test_beyond_this_machine_a_key_or_a_word_is_needed(host: str) -> None:
    with pytest.raises(AuthError, match="reachable from other machines"):
        check_binding(host, None, False)
    check_binding(host, KEY, False)
    check_binding(host, None, True)


def test_only_listed_pages_may_connect() -> None:
    allowed = loopback_origins(8080)
    check_origin("http://localhost:8080", "localhost:8080", allowed)
    check_origin(None, "localhost:8080", allowed)
    for stranger in ("http://evil.example:8080", "http://localhost:3000", "null"):
        with pytest.raises(AuthError, match="--origin"):
            check_origin(stranger, "evil.example:8080", allowed)


def test_without_a_list_a_page_must_come_from_its_host() -> None:
    check_origin("https://soul.example", "soul.example", None)
    with pytest.raises(AuthError, match="evil"):
        check_origin("https://evil.example", "soul.example", None)

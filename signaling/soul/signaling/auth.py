"""Who may come in: signed, expiring tokens, and which pages may open the WebSocket.

A token is `v1.<expiry>.<signature>`: the expiry in Unix seconds and HMAC-SHA256 (RFC 2104) over
both. This file does NOT know HTTP, sockets or the time of day; `now` comes in.
"""

import hashlib
import hmac
from collections.abc import Collection
from ipaddress import ip_address

VERSION = "v1"
MIN_KEY_BYTES = 16


class AuthError(Exception):
    """Not allowed in; the message is one sentence."""


def check_key(key: bytes) -> bytes:
    """The key itself; AuthError if it is too short to be a secret."""
    if len(key) < MIN_KEY_BYTES:
        raise AuthError(f"the key has {len(key)} bytes; expected at least {MIN_KEY_BYTES}")
    return key


def issue(key: bytes, expires: int) -> str:
    """A token that is valid until `expires`, in Unix seconds."""
    return f"{VERSION}.{expires}.{_signature(key, expires)}"


def auth(token: str | None, key: bytes | None, now: int) -> None:
    """Returns if `token` opens the door at `now` (Unix seconds); AuthError if not.

    Without a key the door is open to everybody.
    """
    if key is None:
        return
    if not token:
        raise AuthError("this server needs a token and none was given; open the link it printed")
    version, _, rest = token.partition(".")
    digits, _, signature = rest.partition(".")
    if version != VERSION or not (digits.isascii() and digits.isdigit()) or len(digits) > 12:
        raise AuthError(f'the token is not of the form "{VERSION}.<expiry>.<signature>"')
    expires = int(digits)
    if not hmac.compare_digest(_signature(key, expires).encode(), signature.encode()):
        raise AuthError("the token's signature is not this server's")
    if now >= expires:
        raise AuthError(f"the token expired {now - expires} s ago; ask for a new one")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_binding(host: str, key: bytes | None, open_to_all: bool) -> None:
    """AuthError if `host` is reachable from outside and nothing guards the door."""
    if is_loopback(host) or key is not None or open_to_all:
        return
    raise AuthError(
        f"{host} is reachable from other machines; give a key (SOUL_KEY or --key-file) or --open"
    )


def loopback_origins(port: int) -> frozenset[str]:
    """The origins of this machine's own page."""
    return frozenset(f"http://{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))


def check_origin(origin: str | None, host: str | None, allowed: Collection[str] | None) -> None:
    """AuthError if a page from `origin` may not talk to this server.

    `allowed` lists the origins; None means the page must come from the very `host` it talks to.
    A client that is not a browser sends no origin, and passes. On loopback a list is used, since
    a name that an attacker points at 127.0.0.1 would make origin and host agree.
    """
    if origin is None:
        return
    if allowed is None:
        allowed = (f"http://{host}", f"https://{host}")
    if origin not in allowed:
        raise AuthError(f"the origin {origin!r} may not use this server; allow it with --origin")


def _signature(key: bytes, expires: int) -> str:
    return hmac.new(key, f"soul-live.{VERSION}.{expires}".encode(), hashlib.sha256).hexdigest()

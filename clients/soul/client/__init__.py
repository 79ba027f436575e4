"""The Python client: signaling only; media stays with the caller."""

from soul.client.client import Answer, SoulClient
from soul.client.errors import (
    BadOffer,
    ConnectError,
    ConnectionLost,
    Full,
    Refused,
    Restarting,
    SoulError,
    UnexpectedMessage,
    UnknownPortrait,
)

__all__ = [
    "Answer",
    "BadOffer",
    "ConnectError",
    "ConnectionLost",
    "Full",
    "Refused",
    "Restarting",
    "SoulClient",
    "SoulError",
    "UnexpectedMessage",
    "UnknownPortrait",
]

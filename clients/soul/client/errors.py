"""What can go wrong for a caller of the client.

SoulError
├── ConnectError      no server there, or it does not let us in
├── ConnectionLost    the socket closed in the middle
├── UnexpectedMessage the server said something that the protocol does not know
└── Refused           the server said no, in one sentence; `.code` says to what
    ├── Full              every place is taken
    ├── Restarting        the model is being started again; try in a few seconds
    ├── BadOffer          the SDP offer cannot be used
    └── UnknownPortrait   no such portrait
"""


class SoulError(Exception):
    """Any trouble with the server; the message is one sentence."""


class ConnectError(SoulError):
    """No server there, or it does not let us in."""


class ConnectionLost(SoulError):
    """The socket closed in the middle."""


class UnexpectedMessage(SoulError):
    """The server said something that the protocol does not know here."""


class Refused(SoulError):
    """The server said no, in one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Full(Refused):
    """Every place is taken; try again in a little while."""


class Restarting(Refused):
    """The model is being started again; try in a few seconds."""


class BadOffer(Refused):
    """The SDP offer cannot be used."""


class UnknownPortrait(Refused):
    """There is no such portrait."""


_BY_CODE: dict[str, type[Refused]] = {
    "full": Full,
    "restarting": Restarting,
    "bad_offer": BadOffer,
    "unknown_portrait": UnknownPortrait,
}


def refusal(code: str, message: str) -> Refused:
    """The error for a server's code."""
    return _BY_CODE.get(code, Refused)(code, message)

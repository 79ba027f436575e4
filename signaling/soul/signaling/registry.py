"""Who is inside and for how long: places, the longest conversation, the longest silence.

Pure bookkeeping with `now`. This file does NOT know sessions, sockets, clocks or asyncio.
"""

from dataclasses import asdict, dataclass

from soul.timebase import NANOSECONDS, Instant


@dataclass(frozen=True, slots=True)
class Limits:
    """How many conversations at once, and how long one may last."""

    max_sessions: int = 2
    session_seconds: int = 3600
    idle_seconds: int = 120  # without any message from the client

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")


class RegistryFull(Exception):
    """Every place is taken."""

    def __init__(self, places: int) -> None:
        noun = "place is" if places == 1 else "places are"
        super().__init__(f"all {places} {noun} taken; try again in a little while")


@dataclass(frozen=True, slots=True)
class Place:
    """One conversation's place: when it was taken and when its client was last heard."""

    since: Instant
    heard: Instant


class Registry:
    """The places of one server. A place is taken by `admit` and given back by `release`."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._places: dict[str, Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def admit(self, session: str, now: Instant) -> None:
        """Takes a place; RegistryFull if there is none, ValueError if `session` has one."""
        if session in self._places:
            raise ValueError(f"session {session!r} already has a place")
        if len(self._places) >= self.limits.max_sessions:
            raise RegistryFull(self.limits.max_sessions)
        self._places[session] = Place(since=now, heard=now)

    def heard(self, session: str, now: Instant) -> None:
        """The client of `session` gave a sign of life."""
        place = self._places.get(session)
        if place is not None:
            self._places[session] = Place(since=place.since, heard=now)

    def release(self, session: str) -> None:
        """Gives the place back; of a session without one, nothing."""
        self._places.pop(session, None)

    def deadline(self, session: str) -> Instant | None:
        """When `session` has to end if nothing more is heard; None if it has no place."""
        place = self._places.get(session)
        return None if place is None else min(self._oldest(place), self._quietest(place))

    def overdue(self, session: str, now: Instant) -> str | None:
        """Why `session` has to end now, in one sentence, or None."""
        place = self._places.get(session)
        if place is None:
            return None
        if now >= self._oldest(place):
            return f"The conversation reached its limit of {self.limits.session_seconds} s."
        if now >= self._quietest(place):
            return f"Nothing was heard from the client for {self.limits.idle_seconds} s."
        return None

    def _oldest(self, place: Place) -> Instant:
        return place.since + self.limits.session_seconds * NANOSECONDS

    def _quietest(self, place: Place) -> Instant:
        return place.heard + self.limits.idle_seconds * NANOSECONDS

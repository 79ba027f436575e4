"""Puts the real rooms behind the door: the kept worker, aiortc sessions, portraits.

Only this file translates their errors into the door's. It does NOT know HTTP.
"""

import gc
import secrets
import time
from typing import Any

from soul.cli.large import LoadLarge
from soul.media.portrait import PortraitError, read_portrait
from soul.media.tracks import OfferError
from soul.session.session import Session, SessionConfig, SessionError
from soul.signaling.door import OnClosed, Refused, Rooms
from soul.signaling.gallery import Picture
from soul.stream.keeper import Keeper, Restarting
from soul.stream.worker import LoadSoul, Worker, WorkerConfig, WorkerError

LARGE_START, LARGE_ANSWER = 1800.0, 120.0  # seconds; not measured: nothing has run on a GPU yet


class LiveWorker:
    """The kept worker as `door.WorkerLike`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def start(self) -> None:
        try:
            await self._keeper.start()
        except WorkerError as error:
            raise Refused("worker", str(error)) from error

    async def stop(self) -> None:
        await self._keeper.stop()

    def failure(self) -> str | None:
        error = self._keeper.failure
        return None if error is None else str(error)

    def serving(self) -> Worker:
        """The worker of this moment, with which a session stays; Refused if there is none."""
        try:
            return self._keeper.worker
        except Restarting as error:
            raise Refused("restarting", str(error)) from error
        except WorkerError as error:
            raise Refused("worker", str(error)) from error


class LiveSession:
    """A session as `door.SessionLike`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def start(self, offer_sdp: str, portrait: Picture, prompt: str) -> str:
        try:
            return await self._session.start(offer_sdp, portrait, prompt)
        except OfferError as error:
            raise Refused("offer", str(error)) from error
        except (SessionError, WorkerError) as error:
            raise Refused("worker", str(error)) from error

    def set_prompt(self, prompt: str) -> float | None:
        return self._session.set_prompt(prompt)

    def set_listening(self, listening: bool) -> None:
        self._session.set_listening(listening)

    async def close(self, reason: str) -> None:
        await self._session.close(reason)
        # aiortc's closed connection is a web of cycles that reaches OpenSSL's and libsrtp's memory
        # (growth after a disconnect is reported in aiortc#925, without a cause). Left to itself
        # the collector comes some calls later; here it is cheap, see `serve.settled`.
        gc.collect()

    def stats(self) -> dict[str, Any]:
        return self._session.stats().to_json()


def shipped(model: str, device: str, threads: int, markers: bool = False) -> WorkerConfig:
    """The worker of a shipped model or a folder with weights; `markers`: it flashes at beeps."""
    return WorkerConfig(factory=LoadSoul(model, device, threads, markers))


def converted(factory: LoadLarge) -> WorkerConfig:
    """The worker of a converted folder: gigabytes are read, and umT5 encodes prompts on the CPU."""
    return WorkerConfig(factory=factory, start_limit=LARGE_START, answer_limit=LARGE_ANSWER)


def live_rooms(model: str, config: WorkerConfig) -> Rooms:
    """The rooms of one server whose worker is made as `config` says; `model` is its name."""
    keeper = Keeper(config, time.monotonic_ns)
    worker = LiveWorker(keeper)

    def open_session(name: str, on_closed: OnClosed) -> LiveSession:
        config = SessionConfig(seed=secrets.randbits(31))  # no two calls blink alike
        session = Session(name, worker.serving(), config, time.monotonic_ns, on_closed)
        return LiveSession(session)

    def read(data: bytes) -> Picture:
        try:
            return read_portrait(data, (keeper.format.height, keeper.format.width))
        except PortraitError as error:
            raise Refused("portrait", str(error)) from error

    return Rooms(worker, open_session, read, model)

"""`soul serve`: one process, one port, one page. Knows the door, and uvicorn; no sessions."""

import asyncio
import gc
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
import uvicorn
from rich.text import Text

from soul.cli import options as told
from soul.cli.console import BAD_INPUT, fail, stdout
from soul.cli.plan import LargeConfig, PlanError, for_small, size_of
from soul.media.portrait import PortraitLimits
from soul.signaling.app import create_app
from soul.signaling.auth import (
    AuthError,
    check_binding,
    check_key,
    is_loopback,
    issue,
    loopback_origins,
)
from soul.signaling.door import Clocks, Door, DoorConfig, Refused, Rooms
from soul.signaling.protocol import MAX_MESSAGE_BYTES
from soul.signaling.registry import Limits
from soul.web import STATIC

TOKEN_SECONDS = 12 * 3600
SHUTDOWN_SECONDS = 3
BACKLOG = 128
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ServeError(Exception):
    """The server cannot be started; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """What `soul serve` may be told, and what it does if not told."""

    host: str = "127.0.0.1"
    port: int = 8080
    model: str = "soul-mini"
    device: str = "cpu"
    threads: int = 2
    prompt: str = ""
    limits: Limits = field(default_factory=Limits)
    key: bytes | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    open_to_all: bool = False
    large: LargeConfig = LargeConfig()


DEFAULTS = ServeConfig()

KeyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="A secret of 16 bytes or more: then only links with a token open."),
]
Origins: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="Another page that may connect, such as https://soul.example."),
]
OpenToAll: TypeAlias = Annotated[
    bool, typer.Option("--open", help="Listen beyond this machine without any key.")
]
Markers: TypeAlias = Annotated[
    bool, typer.Option("--markers", hidden=True, help="Flash at beeps; for measuring lip-sync.")
]


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.", envvar="HOST")] = DEFAULTS.host,
    port: Annotated[
        int,
        typer.Option(
            help="Port to listen on; 0 takes a free one.", envvar="PORT", min=0, max=65535
        ),
    ] = DEFAULTS.port,
    max_sessions: Annotated[
        int, typer.Option(help="Conversations at the same time.", min=1)
    ] = DEFAULTS.limits.max_sessions,
    session_minutes: Annotated[
        int, typer.Option(help="The longest that one conversation may last.", min=1)
    ] = DEFAULTS.limits.session_seconds // 60,
    model: told.Model = DEFAULTS.model,
    device: Annotated[str, typer.Option(help="Where the model runs: cpu, cuda.")] = DEFAULTS.device,
    threads: Annotated[
        int, typer.Option(help="Cores that the model may use.", min=1)
    ] = DEFAULTS.threads,
    prompt: Annotated[
        str, typer.Option(help="The manner of speaking when the viewer gives none.")
    ] = DEFAULTS.prompt,
    key_file: KeyFile = None,
    origin: Origins = None,
    open_to_all: OpenToAll = False,
    size: told.Size = None,
    steps: told.Steps = None,
    dtype: told.Dtype = DEFAULTS.large.dtype,
    decoder: told.Decoder = None,
    tile: told.Tile = False,
    ear: told.Ear = None,
    accept_licence: told.AcceptLicence = False,
    markers: Markers = False,
) -> None:
    """Serve the page on which a portrait speaks with your voice.

    Examples:

      soul serve

      soul serve --port 9000 --max-sessions 1 --prompt "calm, smiling"

      SOUL_KEY=a-long-secret-of-yours soul serve --host 0.0.0.0

    Browsers give a microphone only to pages on this very machine or served over https: put a TLS
    proxy in front when others are to connect, and name its address with --origin.
    """
    try:
        config = ServeConfig(
            host=host,
            port=port,
            model=model,
            device=device,
            threads=threads,
            prompt=prompt,
            limits=Limits(max_sessions=max_sessions, session_seconds=session_minutes * 60),
            key=_key(key_file),
            origins=tuple(origin or ()),
            open_to_all=open_to_all,
            large=LargeConfig(
                size_of(size), dtype=dtype, decoder=decoder, tile=tile, steps=steps, ear=ear
            ),
        )
        check_binding(host, config.key, open_to_all)
    except (AuthError, PlanError) as error:
        fail(str(error), BAD_INPUT)
    rooms = _rooms(config, accept_licence, markers)
    try:
        run(config, rooms, _announce)
    except (ServeError, Refused) as error:
        fail(str(error))
    except KeyboardInterrupt:
        return


def _rooms(config: ServeConfig, accept: bool, markers: bool) -> Rooms:
    """Those of the model's kind; ends the command if it is not there, or not allowed."""
    from soul.cli.large import LoadLarge, admitted, folder_of, is_large

    model, device, threads = config.model, config.device, config.threads
    if large := is_large(model):
        admitted(model, accept, "serve")
    else:
        try:
            for_small(config.large, model)
        except PlanError as error:
            fail(str(error), BAD_INPUT)
    from soul.cli.rooms import converted, live_rooms, shipped  # aiortc takes a moment to import

    if not large:
        return live_rooms(model, shipped(model, device, threads, markers))
    load = LoadLarge(str(folder_of(model)), device, threads, config.large, markers)
    return live_rooms(model, converted(load))


def run(config: ServeConfig, rooms: Rooms, ready: Callable[[str], None]) -> None:
    """Serves until interrupted; `ready` gets the page's address. ServeError, Refused."""
    listening = listen(config.host, config.port)
    try:
        port: int = listening.getsockname()[1]
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(config, rooms, listening, port, ready))
    finally:
        listening.close()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; ServeError if the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServeError(f"{host!r} is not an address of this machine ({error.strerror})") from None
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ServeError(
            f"port {port} on {host} cannot be used ({error.strerror}); "
            "choose another with --port or PORT="
        ) from None
    return listening


async def _serve(
    config: ServeConfig,
    rooms: Rooms,
    listening: socket.socket,
    port: int,
    ready: Callable[[str], None],
) -> None:
    clocks = Clocks(time.monotonic_ns, lambda: int(time.time()), lambda: secrets.token_hex(16))
    door = Door(door_config(config, port), rooms, clocks)
    settings = uvicorn.Config(
        create_app(door),
        ws="websockets-sansio",
        ws_max_size=2 * MAX_MESSAGE_BYTES,  # a little too big is told by a sentence, much by a code
        ws_per_message_deflate=False,
        lifespan="off",  # the door is entered here, so that its errors are sentences, not logs
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
    )
    async with door:
        with settled():
            await _Server(settings, lambda: ready(address(config, port))).serve([listening])


@contextmanager
def settled() -> Iterator[None]:
    """The garbage collector passes over all that has been loaded by now.

    A full collection holds up every call's packets: it took 37 ms with all that serving loads, and
    1.4 ms with only what one call leaves behind (an EPYC's core).
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def door_config(config: ServeConfig, port: int) -> DoorConfig:
    """What the door is told; on loopback only this machine's own page may connect."""
    origins: frozenset[str] | None = frozenset(config.origins)
    if is_loopback(config.host):
        origins = loopback_origins(port) | frozenset(config.origins)
    return DoorConfig(
        portraits=STATIC / "portraits",
        upload_bytes=PortraitLimits().max_bytes,
        limits=config.limits,
        prompt=config.prompt,
        key=config.key,
        origins=origins or None,
    )


def address(config: ServeConfig, port: int) -> str:
    """The page's address; with a key, one that lets its holder in for half a day."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(config.host, config.host)
    url = f"http://{host}:{port}/"
    if config.key is None:
        return url
    return f"{url}?token={issue(config.key, int(time.time()) + TOKEN_SECONDS)}"


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready, and that leaves the end of the process to its caller."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal again, before the door has closed its sessions."""
        kept = {name: signal.signal(name, self.handle_exit) for name in SIGNALS}
        try:
            yield
        finally:
            for name, handler in kept.items():
                signal.signal(name, handler)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return None
    return uvloop.new_event_loop


def _key(path: Path | None) -> bytes | None:
    """The key of --key-file, or else of SOUL_KEY; AuthError if it is not usable."""
    if path is None:
        text = os.environ.get("SOUL_KEY")
        return check_key(text.encode()) if text else None
    try:
        return check_key(path.read_bytes().strip())
    except OSError as error:
        raise AuthError(f"the key file {str(path)!r} cannot be read ({error.strerror})") from None


def _announce(url: str) -> None:
    stdout().print(Text.assemble("Soul Live is ready: ", (url, "bold cyan")))

"""HTTP and WebSocket on one port: the page, its portraits, uploads, `/ws`, health and figures.

The only file that knows the framework. It does NOT decide anything: who may come in is `auth`,
the order of messages `protocol`, places and sessions `door`.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from soul.signaling.auth import AuthError, auth, check_origin
from soul.signaling.conversation import Conversation
from soul.signaling.door import Door, Refused
from soul.signaling.gallery import data_url
from soul.signaling.protocol import Close
from soul.web import STATIC

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; "
        "connect-src 'self' ws: wss:; style-src 'self'; script-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def create_app(door: Door) -> Starlette:
    """The ASGI application of `door`; its lifespan is the door's."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with door:
            yield

    pages = Pages(door)
    return Starlette(
        lifespan=lifespan,
        middleware=[Middleware(_Headers)],
        routes=[
            Route("/", pages.index, methods=["GET"]),
            Route("/portraits", pages.portraits, methods=["GET"]),
            Route("/portraits", pages.upload, methods=["POST"]),
            Route("/healthz", pages.health, methods=["GET"]),
            Route("/stats", pages.stats, methods=["GET"]),
            WebSocketRoute("/ws", Sockets(door).serve),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
    )


class Pages:
    """The HTTP half."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def portraits(self, request: Request) -> Response:
        return self._guarded(request, self._portraits)

    async def health(self, request: Request) -> Response:
        limits, failure = self._door.config.limits, self._door.failure()
        return JSONResponse(
            status_code=200 if failure is None else 503,
            content={
                "status": failure or "ok",
                "model": self._door.model,
                "sessions": len(self._door.registry),
                "max_sessions": limits.max_sessions,
            },
        )

    async def stats(self, request: Request) -> Response:
        return self._guarded(request, lambda: JSONResponse(self._door.stats()))

    async def upload(self, request: Request) -> Response:
        try:
            _check(request, self._door)
            data = await _body(request, self._door.config.upload_bytes)
            name, picture = await self._door.upload(data)
        except AuthError as error:
            return _sentence(401, str(error))
        except _HttpError as error:
            return _sentence(error.status, str(error))
        except Refused as error:
            return _sentence(400, str(error))
        except ClientDisconnect:
            return _sentence(400, "the upload ended before its last byte")
        return JSONResponse({"id": name, "preview": data_url(picture)}, status_code=201)

    def _guarded(self, request: Request, respond: Callable[[], Response]) -> Response:
        try:
            _check(request, self._door)
        except AuthError as error:
            return _sentence(401, str(error))
        return respond()

    def _portraits(self) -> Response:
        return JSONResponse(
            [
                {
                    "id": portrait.id,
                    "name": portrait.name,
                    "image": f"/static/portraits/{portrait.path.name}",
                }
                for portrait in self._door.portraits
            ]
        )


class Sockets:
    """The WebSocket half: refuses before it accepts, and bounds how many are open."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._open = 0

    async def serve(self, websocket: WebSocket) -> None:
        try:
            _check(websocket, self._door)
        except AuthError as error:
            await websocket.send_denial_response(_sentence(403, str(error)))
            return
        if self._open >= self._door.config.sockets:
            text = f"{self._open} sockets are open already, which is the limit; try again later"
            await websocket.accept()
            await websocket.close(Close.TRY_LATER, text)
            return
        self._open += 1
        try:
            await websocket.accept()
            await Conversation(self._door, _Socket(websocket)).run()
        finally:
            self._open -= 1


class _Socket:
    """Starlette's WebSocket as `conversation.Socket`."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        return data if text is None else text

    async def send(self, text: str) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                await self._websocket.send_text(text)
            except WebSocketDisconnect:
                return  # the next receive says so too

    async def close(self, code: int, reason: str) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                await self._websocket.close(code, reason)
            except (WebSocketDisconnect, RuntimeError):
                return


class _HttpError(Exception):
    """A request that is answered with `status` and one sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _body(request: Request, limit: int) -> bytes:
    """The uploaded bytes, bounded while they stream in; _HttpError 400, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind != "application/octet-stream":
        raise _HttpError(415, f"the content type is {kind or 'missing'!r}; expected an image")
    sentence = f"the image has more than {limit} bytes, which is the most that is read"
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise _HttpError(413, sentence)
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > limit:
            raise _HttpError(413, sentence)
    if not data:
        raise _HttpError(400, "the upload is empty; expected the bytes of an image")
    return bytes(data)


def _check(connection: HTTPConnection, door: Door) -> None:
    """AuthError if this request may not come in."""
    headers = connection.headers
    check_origin(headers.get("origin"), headers.get("host"), door.config.origins)
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    token = credentials if scheme.lower() == "bearer" else connection.query_params.get("token")
    auth(token, door.config.key, door.clocks.unix())


def _sentence(status: int, message: str) -> Response:
    body = json.dumps({"error": message}, ensure_ascii=False)
    return Response(body, status_code=status, media_type="application/json")


class _Headers:
    """Adds `HEADERS` to every HTTP response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(key.lower().encode(), text.encode()) for key, text in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        await self._app(scope, receive, with_headers)

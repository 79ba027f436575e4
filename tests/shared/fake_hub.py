"""A hub on loopback that speaks the few endpoints that huggingface_hub downloads through.

It can cut a file off in the middle, or send other bytes than it promises.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Hub:
    """One repository's files, and how they are sent."""

    repository: str
    files: dict[str, bytes]
    large: set[str] = field(default_factory=set)  # in LFS: their SHA-256 is told
    cut: dict[str, int] = field(default_factory=dict)  # no byte behind this one is sent
    spoilt: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, file, range
    endpoint: str = ""
    commit: str = COMMIT  # where every revision points

    def siblings(self) -> list[dict[str, object]]:
        return [self.sibling(name, data) for name, data in self.files.items()]

    def sibling(self, name: str, data: bytes) -> dict[str, object]:
        told: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": git(data)}
        if name in self.large:
            sha256 = hashlib.sha256(data).hexdigest()
            told["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
        return told


def git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self.answer(body=True)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            if path.startswith(f"/api/models/{hub.repository}"):
                told = {"id": hub.repository, "sha": hub.commit, "siblings": hub.siblings()}
                self.send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})
            elif path.startswith(f"/{hub.repository}/resolve/{hub.commit}/"):
                self.send_file(path.split(f"/{hub.commit}/")[1], body)
            else:
                self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def send_file(self, name: str, body: bool) -> None:
            hub.asked.append((self.command, name, self.headers.get("Range")))
            data = hub.files[name]
            start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
            etag = hashlib.sha256(data).hexdigest() if name in hub.large else git(data)
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit, "Accept-Ranges": "bytes"}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            sent = bytes(len(data)) if name in hub.spoilt else data
            end = hub.cut.get(name, len(data))
            self.send(206 if start else 200, sent[start:], headers, body, max(end - start, 0))

        def send(
            self,
            code: int,
            data: bytes,
            headers: dict[str, str],
            body: bool = True,
            limit: int | None = None,
        ) -> None:
            self.send_response(code)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(data[:limit])
                self.close_connection = limit is not None and limit < len(data)

    return Handler


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub answers as long as this is open."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(hub))
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Bad input, tried for real, while one call goes on: a sentence each, the right status or close
code, nothing left running, and the call undisturbed."""

import asyncio
import base64
import io
import json
import struct
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from soul.cli.bench.server import START_SECONDS, BenchError, Server, serving
from soul.cli.main import app
from soul.client import Restarting, SoulClient
from soul.media.portrait import PortraitLimits
from soul.model.config import PRESETS
from soul.model.load import save
from soul.model.sample import build

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PORTRAIT = Path(__file__).resolve().parents[2] / "clients/soul/web/static/portraits/ada.png"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def witness(server: Server, make_viewer: Any, wait_until: Any) -> AsyncIterator[str]:
    """A call that goes on through all of this file, and sees pictures to the end; its session."""
    async with AsyncExitStack() as opened:
        viewer = make_viewer()
        opened.push_async_callback(viewer.close)
        client = await opened.enter_async_context(await SoulClient.connect(server.socket_url))
        session = await viewer.call(client)
        await wait_until(lambda: len(viewer.pictures) > 10, "the witness sees")
        yield session
        seen = len(viewer.pictures)
        await wait_until(lambda: len(viewer.pictures) > seen + 25, "the witness still sees")


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def undisturbed(server: Server, witness: str, wait_until: Any) -> AsyncIterator[None]:
    """After each test the witness is the only one inside."""
    yield
    await wait_until(lambda: _only_inside(server, witness), "only the witness is left")


async def _only_inside(server: Server, witness: str) -> bool:
    return list(await server.sessions()) == [witness]


# Portraits, by HTTP.


def _png(mode: str, size: tuple[int, int], color: Any = 0) -> bytes:
    return _saved(Image.new(mode, size, color), "PNG")


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _animated() -> bytes:
    frames = [Image.new("RGB", (80, 80), (shade, 0, 0)) for shade in (0, 120, 240)]
    return _saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


def _rotated() -> bytes:
    """Red above blue, but stored lying on its side, as cameras do."""
    upright = Image.new("RGB", (96, 96), "red")
    upright.paste((0, 0, 255), (0, 48, 96, 96))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter clockwise to see it upright
    return _saved(upright.rotate(90, expand=True), "JPEG", exif=exif.tobytes(), quality=95)


REFUSED_PORTRAITS = {
    "no image": (b"I am not a picture at all", "image/png", 400),
    "empty": (b"", "image/png", 400),
    "no image by its type": (b"hello", "text/plain", 415),
    "too many bytes": (b"\x89PNG" + bytes(PortraitLimits().max_bytes), "image/png", 413),
    "too many pixels": (_png("1", (9000, 9000)), "image/png", 400),
    "too small": (_png("RGB", (5, 5)), "image/png", 400),
    "animated": (_animated(), "image/gif", 400),
    "truncated": (PORTRAIT.read_bytes()[:2000], "image/png", 400),
}
ACCEPTED_PORTRAITS = {
    "grey": _png("L", (100, 120), 90),
    "grey with alpha": _png("LA", (100, 100), (90, 40)),
    "transparent": _png("RGBA", (90, 120), (200, 10, 10, 0)),
    "sixteen bits": _png("I;16", (100, 100), 40_000),
    "palette": _png("P", (100, 100)),
    "CMYK": _saved(Image.new("CMYK", (100, 100)), "JPEG"),
    "EXIF-rotated": _rotated(),
}


@pytest.mark.parametrize("case", REFUSED_PORTRAITS)
async def test_a_portrait_that_cannot_be_used(server: Server, case: str) -> None:
    data, kind, status = REFUSED_PORTRAITS[case]
    async with httpx.AsyncClient() as http:
        reply = await http.post(
            server.url + "portraits", content=data, headers={"Content-Type": kind}
        )
    assert reply.status_code == status
    _check_sentence(reply.json()["error"])


@pytest.mark.parametrize("case", ACCEPTED_PORTRAITS)
async def test_a_portrait_of_another_kind(server: Server, case: str) -> None:
    async with httpx.AsyncClient() as http:
        reply = await http.post(
            server.url + "portraits",
            content=ACCEPTED_PORTRAITS[case],
            headers={"Content-Type": "image/png"},
        )
    assert reply.status_code == 201
    assert reply.json()["preview"].startswith("data:image/png;base64,")


async def test_a_rotated_portrait_stands_upright(server: Server) -> None:
    async with httpx.AsyncClient() as http:
        reply = await http.post(
            server.url + "portraits", content=_rotated(), headers={"Content-Type": "image/jpeg"}
        )
    preview = reply.json()["preview"].partition(",")[2]
    picture = Image.open(io.BytesIO(base64.b64decode(preview)))
    top, bottom = np.asarray(picture)[4, 32], np.asarray(picture)[-4, 32]
    assert top[0] > 200 > top[2]
    assert bottom[2] > 200 > bottom[0]


# Messages, by WebSocket.


def _start(**changes: Any) -> str:
    fields = {"type": "start", "portrait": "ada", "sdp": "v=0\r\n", **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


MESSAGES: dict[str, tuple[str | bytes, str, int]] = {
    "not JSON": ("hello", "not_json", 1007),
    "JSON without end": ("[" * 30_000, "not_json", 1007),
    "binary": (b"\x00\x01\x02", "unsupported", 1003),
    "too big": ("x" * 70_000, "too_big", 1009),
    "a list": ("[1, 2]", "bad_message", 1008),
    "no type": ("{}", "bad_message", 1008),
    "unknown type": ('{"type": "dance"}', "bad_message", 1008),
    "unknown field": (_start(colour="red"), "bad_message", 1008),
    "no SDP": (_start(sdp=None), "bad_message", 1008),
    "a number as SDP": (_start(sdp=5), "bad_message", 1008),
    "a prompt of a book's length": (_start(prompt="a" * 501), "bad_message", 1008),
    "a path as portrait": (_start(portrait="../../etc/passwd"), "bad_message", 1008),
    "an unknown portrait": (_start(portrait="nobody"), "unknown_portrait", 1008),
    "an upload that is not there": (
        _start(portrait="upload:" + "0" * 32),
        "unknown_portrait",
        1008,
    ),
    "nonsense as SDP": (_start(sdp="nonsense"), "bad_offer", 1007),
    "an SDP of one line": (_start(), "bad_offer", 1007),
    "stop before start": ('{"type": "stop"}', "not_started", 1008),
}


@pytest.mark.parametrize("case", MESSAGES)
async def test_a_message_that_is_not_allowed(server: Server, case: str) -> None:
    data, code, close = MESSAGES[case]
    async with connect(server.socket_url) as socket:
        await socket.send(data)
        await _check_refused(socket, code, close)


async def test_a_message_of_a_megabyte_is_not_even_read(server: Server) -> None:
    async with connect(server.socket_url) as socket:
        await socket.send("x" * 1_000_000)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


OFFERS: dict[str, Callable[[str], str]] = {
    "no sound": lambda sdp: sdp.replace("m=audio", "m=text", 1),
    "no picture": lambda sdp: sdp.replace("m=video", "m=text", 1),
    "half of it": lambda sdp: sdp[: len(sdp) // 2],
    "no codec that is known": lambda sdp: sdp.replace("VP8/", "XY9/"),
    "a picture that is sent to us": lambda sdp: sdp.replace("a=recvonly", "a=sendonly"),
    "no way to connect": lambda sdp: "".join(
        line for line in sdp.splitlines(keepends=True) if not line.startswith("a=ice-")
    ),
}


@pytest.mark.parametrize("case", OFFERS)
async def test_an_offer_that_cannot_be_answered(
    server: Server, place: AsyncExitStack, make_viewer: Any, case: str
) -> None:
    viewer = make_viewer()
    place.push_async_callback(viewer.close)
    offer = OFFERS[case](await viewer.offer())
    async with connect(server.socket_url) as socket:
        await socket.send(_start(sdp=offer))
        await _check_refused(socket, "bad_offer", 1007)


@pytest_asyncio.fixture(loop_scope="module")
async def place() -> AsyncIterator[AsyncExitStack]:
    """What a test opens is closed here; the witness stays."""
    async with AsyncExitStack() as opened:
        yield opened


async def test_a_page_of_somebody_else(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(server.socket_url, additional_headers={"Origin": "http://evil.example"}):
            pass
    assert refused.value.response.status_code == 403
    _check_sentence(json.loads(refused.value.response.body)["error"])


async def _check_refused(socket: ClientConnection, code: str, close: int) -> None:
    refused = json.loads(await socket.recv())
    assert (refused["type"], refused["code"]) == ("error", code)
    _check_sentence(refused["message"])
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == close


def _check_sentence(text: str) -> None:
    assert len(text.split()) >= 4, text
    assert "\n" not in text
    assert "Traceback" not in text


# Recordings, by the command line.


def _wav(
    path: Path, rate: int = 16_000, channels: int = 1, seconds: float = 0.5, width: int = 2
) -> Path:
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(int(rate * seconds)) / rate)
    whole = np.repeat((tone * (2 ** (8 * width - 1) - 1)).astype("<i4"), channels)
    pcm = whole.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        file.writeframes(pcm)
    return path


def _float_wav(path: Path) -> Path:
    pcm = np.zeros(8000, "<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(pcm)) + pcm
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def _empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _truncated(path: Path) -> Path:
    whole = _wav(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _text(path: Path) -> Path:
    path.write_text("these are words, not sound")
    return path


GOOD_SOUNDS: dict[str, Callable[[Path], Path]] = {
    "stereo": lambda path: _wav(path, channels=2),
    "8 kHz": lambda path: _wav(path, rate=8_000),
    "96 kHz": lambda path: _wav(path, rate=96_000),
    "24 bits": lambda path: _wav(path, width=3),
    "float": _float_wav,
    "shorter than a chunk": lambda path: _wav(path, seconds=0.03),
}
BAD_SOUNDS: dict[str, Callable[[Path], Path]] = {
    "empty": _empty,
    "without samples": lambda path: _wav(path, seconds=0),
    "truncated": _truncated,
    "text": _text,
    "not there": lambda path: path,
}


@pytest.mark.parametrize("case", GOOD_SOUNDS)
async def test_a_recording_of_another_kind(small_model: Path, tmp_path: Path, case: str) -> None:
    sound, film = GOOD_SOUNDS[case](tmp_path / "in.wav"), tmp_path / "out.mp4"
    done = await _animate(str(PORTRAIT), str(sound), "-o", str(film), "--model", str(small_model))
    assert done.exit_code == 0, done.output
    assert film.stat().st_size > 500


@pytest.mark.parametrize("case", BAD_SOUNDS)
async def test_a_recording_that_cannot_be_used(
    small_model: Path, tmp_path: Path, case: str
) -> None:
    sound, film = BAD_SOUNDS[case](tmp_path / "in.wav"), tmp_path / "out.mp4"
    done = await _animate(str(PORTRAIT), str(sound), "-o", str(film), "--model", str(small_model))
    assert done.exit_code == 2
    _check_error(done.stderr)
    assert [path for path in tmp_path.iterdir() if "mp4" in path.name] == []


async def _animate(*arguments: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, ["animate", *arguments])


def _check_error(text: str) -> None:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("error: ")
    _check_sentence(lines[0])


# Weights, by servers that must not start.


def _mixed_weights(folder: Path) -> None:
    """The config of one model, the tensors of another."""
    save(build(PRESETS["soul-test"], 0), folder)
    config = json.loads((folder / "config.json").read_text())
    config["centroids"] *= 2
    (folder / "config.json").write_text(json.dumps(config))


def _torn_weights(folder: Path) -> None:
    save(build(PRESETS["soul-test"], 0), folder)
    tensors = folder / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:5000])


def _no_weights(folder: Path) -> None:
    save(build(PRESETS["soul-test"], 0), folder)
    (folder / "model.safetensors").unlink()


def _other_weights(folder: Path) -> None:
    save(build(PRESETS["soul-test"], 0), folder)
    save_file(
        {"something": build(PRESETS["soul-test"], 0).dit.patch_embedding.weight},
        folder / "model.safetensors",
    )


def _no_folder(folder: Path) -> None:
    folder.rmdir()


WEIGHTS = {
    "no folder": (_no_folder, "expected a folder"),
    "missing": (_no_weights, "weights are missing"),
    "torn": (_torn_weights, "not a whole safetensors file"),
    "of the wrong shape": (_mixed_weights, "has shape"),
    "of another network": (_other_weights, "lacks"),
}


@pytest.mark.parametrize("case", WEIGHTS)
async def test_weights_that_do_not_fit(tmp_path: Path, case: str) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    spoil, sentence = WEIGHTS[case]
    spoil(folder)
    with pytest.raises(BenchError, match=sentence) as refused:
        async with serving("--model", str(folder), "--threads", "1"):
            pass
    assert "Traceback" not in str(refused.value)


# A worker that dies.


async def test_a_worker_that_dies_ends_its_calls_with_a_sentence_and_a_fresh_one_serves(
    small_model: Path, make_viewer: Any, wait_until: Any
) -> None:
    async with (
        serving("--model", str(small_model), "--threads", "1") as server,
        AsyncExitStack() as opened,
    ):
        first, second, third = viewers = [make_viewer() for _ in range(3)]
        lines = []
        for viewer in viewers:
            opened.push_async_callback(viewer.close)
            line = await SoulClient.connect(server.socket_url)
            lines.append(await opened.enter_async_context(line))
        await first.call(lines[0])
        await wait_until(lambda: len(first.pictures) > 5, "pictures come")
        processes = (await server.resources()).processes
        offer = await second.offer()

        server.kill_worker()
        assert "worker process ended" in await lines[0].ended()
        with pytest.raises(Restarting, match="try again in a few seconds"):
            await lines[1].start(offer, "ada")
        async with httpx.AsyncClient() as http:
            health = await http.get(server.url + "healthz")
        assert health.status_code == 503
        _check_sentence(health.json()["status"])

        await wait_until(server.is_ready, "a fresh worker is there", START_SECONDS)
        session = await third.call(lines[2])
        await wait_until(lambda: len(third.pictures) > 5, "pictures come again")
        assert list(await server.sessions()) == [session]
        assert (await server.resources()).processes == processes

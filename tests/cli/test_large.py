"""Large models at the command line: found, allowed, told what they take; and live as well."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import made_running as made
from made_folders import forbidden
from soul.checkpoints.layout import open_part
from soul.checkpoints.manifest import MANIFEST
from soul.cli import large
from soul.cli.large import MARK, LoadLarge, admitted, is_large
from soul.cli.main import app
from soul.cli.plan import LargeConfig, PlanError, clips_of, for_small, size_of
from soul.model.wan import memory
from soul.stream.engine import Engine
from soul.stream.process import Unable
from soul.stream.types import FramesReady, Pcm, Performs

RUNNER = CliRunner()
MILLISECOND = 1_000_000
EXACT = LargeConfig(dtype="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.converted(tmp_path_factory.mktemp("five"))


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOUL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def animate(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    portrait, speech = made.face(tmp_path / "f.png"), made.speech(tmp_path / "s.wav", 0.2)

    def run(model: str, *more: str) -> tuple[int, str]:
        words = ["animate", str(portrait), str(speech), "-o", str(tmp_path / "out.mp4")]
        result = RUNNER.invoke(app, [*words, "--model", model, *more])
        assert "Traceback" not in result.stderr
        return result.exit_code, " ".join(result.stderr.split())

    return run


def load(folder: Path, told: LargeConfig = EXACT) -> Performs:
    return LoadLarge(str(folder), "cpu", threads=1, told=told)()


@pytest.fixture(scope="module")
def performer(folder: Path) -> Performs:
    return load(folder)


def test_the_same_folder_serves_live_through_the_same_engine(performer: Performs) -> None:
    """Sound in, pictures out, chunk after chunk, as a session drives it; no clock, no browser."""
    form = performer.format
    assert (form.chunk_samples, form.frames_per_chunk, form.height, form.width) == (2560, 4, 64, 96)
    assert performer.steps == 2
    portrait = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    performer.open("call", portrait, "calm", seed=1)
    engine, shown, now = Engine("call", form, performer.steps), list[FramesReady](), 0
    draw = np.random.default_rng(1)
    for packet in range(40):  # 0.8 s of sound
        heard = draw.normal(0, 0.1, 320).astype(np.float32)
        engine.receive_audio(Pcm(packet * 320, heard), now)
        if packet == 10:
            engine.set_prompt("happy woman")  # encoded on the way: the encoder stays
        while (work := engine.next_work(now)) is not None:
            for frames in performer.perform([work]):
                engine.receive_frames(frames, now)
        while isinstance(event := engine.next_event(), FramesReady):
            shown.append(event)
        now += 20 * MILLISECOND
    performer.close("call")
    assert [event.chunk for event in shown] == list(range(4))
    assert [event.start for event in shown] == [2560 * n for n in range(4)]
    assert {event.pictures.shape for event in shown} == {(4, 64, 96, 3)}
    assert len({event.pictures.tobytes() for event in shown}) == 4, "it moves"
    assert engine.stats().skipped == 0


def test_its_stages_are_measured_like_anyones(folder: Path) -> None:
    told = ["--model", str(folder), "--chunks", "2", "--threads", "1", "--dtype", "fp32"]
    result = RUNNER.invoke(app, ["bench", "model", *told, "--size", "96x64", "--steps", "1"])
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert (figures["chunks"], figures["steps"]) == (2, 1)
    assert figures["parameters"].keys() == {"dit", "vae", "text", "all"}
    assert figures["parameters"]["dit"] == sum(e.numel for e in open_part(folder, "dit").values())
    wrong = RUNNER.invoke(app, ["bench", "model", "--model", "soul-mini", "--tile"])
    assert wrong.exit_code == 2
    assert "--tile is for large models" in wrong.stderr


def test_the_workers_process_can_be_told_what_to_load(folder: Path) -> None:
    factory = LoadLarge(str(folder), "cpu", 1, replace(EXACT, size=(96, 64)), markers=True)
    assert pickle.loads(pickle.dumps(factory)) == factory
    with pytest.raises(Unable, match="is missing"):
        LoadLarge(str(folder / "nobody"), "cpu", 1, EXACT)()


def test_what_cannot_serve_is_one_sentence(own: Path) -> None:
    shutil.rmtree(own / "whisper")
    with pytest.raises(Unable, match="soul fetch whisper-large-v3"):
        load(own)
    with pytest.raises(Unable, match="has no eVAE"):
        load(own, replace(EXACT, decoder="evae", ear=own.parent))


@pytest.mark.usefixtures("home")
def test_a_model_that_is_not_there_says_how_to_get_it(
    animate: Callable[..., tuple[int, str]],
) -> None:
    assert MARK == MANIFEST
    assert is_large("soul-5b")
    assert not is_large("soul-mini")
    code, said = animate("soul-5b")
    assert code == 1
    assert "soul fetch wan2.2-ti2v-5b" in said
    assert "soul convert" in said


def test_a_licence_is_shown_before_the_first_use(
    own: Path, home: Path, animate: Callable[..., tuple[int, str]]
) -> None:
    code, said = animate(str(forbidden(own)))
    assert code == 2
    assert "talkverse-5b may not be used for money" in said
    assert "expected --accept-licence" in said
    result = RUNNER.invoke(app, ["serve", "--model", str(own)])
    assert result.exit_code == 2
    assert "may not be used for money" in result.stderr
    admitted(str(own), accept=True, command="serve")
    assert "Snap Inc." in (home / "licences.json").read_text()
    admitted(str(own), accept=False, command="serve")  # asked once


def test_too_little_memory_is_told_before_anything_is_read(
    folder: Path,
    tmp_path: Path,
    animate: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def little(device: torch.device) -> int:
        return 1_000_000

    monkeypatch.setattr(memory, "free_on", little)
    code, said = animate(str(folder), "--dtype", "fp32", "--size", "480x832")
    assert code == 1
    assert "soul at 480 x 832" in said
    assert "0.0 GB are free; smaller pictures, tiles or eight-bit weights need less" in said
    assert "reading" not in said
    assert [p.name for p in tmp_path.iterdir() if "out.mp4" in p.name] == []


def test_a_device_without_memory_left_is_one_sentence(
    folder: Path, animate: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*values: object, **named: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore of it")

    monkeypatch.setattr(large, "loaded", full)
    code, said = animate(str(folder), "--dtype", "fp32")
    assert code == 1
    assert "cpu has no memory left (CUDA out of memory. Tried to allocate 2.00 GiB.)" in said
    assert "what is made is kept" in said


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (("--size", "huge"), 2, "expected HEIGHTxWIDTH in pixels such as 704x1280"),
        (("--mode", "loop"), 2, "expected clip or stream"),
        (("--size", "100x100"), 1, "not a multiple of 32"),
        (("--dtype", "int4"), 1, "expected one of bf16, fp32, fp8"),
        (("--device", "abacus"), 1, "'abacus' is not usable"),
        (("-o", "/no/such/folder/film.mp4"), 1, "is no folder that files can be made in"),
        (("-o", "film.avi"), 1, "expected a name ending in .mp4"),
        (("--at", "9:late"), 2, "the recording ends at 0.2 s"),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path,
    animate: Callable[..., tuple[int, str]],
    more: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    found, said = animate(str(folder), *more)
    assert (found, told in said) == (code, True), said


def test_a_shipped_model_knows_no_options_of_large_ones(
    animate: Callable[..., tuple[int, str]],
) -> None:
    code, said = animate("soul-mini", "--size", "480x832")
    assert code == 2
    assert "--size is for large models" in said
    result = RUNNER.invoke(app, ["serve", "--steps", "4"])
    assert result.exit_code == 2
    assert "--steps is for large models" in " ".join(result.stderr.split())
    with pytest.raises(PlanError, match="--mode is for"):
        for_small(LargeConfig(clips=True), "soul-mini")
    for_small(LargeConfig(), "soul-mini")


def test_sizes_and_modes() -> None:
    assert size_of("704x1280") == (704, 1280)
    assert size_of("1280 X 704") == (1280, 704)
    assert (size_of(None), clips_of(None)) == (None, None)
    assert (clips_of("clip"), clips_of("stream")) == (True, False)

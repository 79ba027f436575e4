"""`soul animate` with a converted folder of random weights: whole, interrupted, and refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import made_running as made
from soul.cli import takes
from soul.cli.main import app
from soul.cli.reel import Reel
from soul.model.wan.tae import Tae

RUNNER = CliRunner()
SECONDS = 0.9  # at 24 pictures a second two clips of three latents, 22 pictures
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.converted(tmp_path_factory.mktemp("five"))


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    portrait, speech = made.face(tmp_path / "f.png"), made.speech(tmp_path / "s.wav", SECONDS)

    def run(output: str, *more: str) -> tuple[int, str, str]:
        words = ["animate", str(portrait), str(speech), "-o", str(tmp_path / output)]
        model = ["--model", str(folder), "--dtype", "fp32"]
        result = RUNNER.invoke(app, [*words, *model, *more])
        return result.exit_code, result.stdout, " ".join(result.stderr.split())

    return run


def pictures(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as film:
        return np.stack([f.to_ndarray(format="rgb24") for f in film.decode(video=0)])


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A take is a clip of three latents."""
    monkeypatch.setattr(takes, "TAKE_LATENTS", 3)


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Ctrl-C once `after` takes are on disk."""
    add = Reel.add

    def stop(self: Reel, *values: object) -> None:
        add(self, *values)  # type: ignore[arg-type]
        if self.takes == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Reel, "add", stop)


def test_a_film_by_a_converted_folder(run: Run, tmp_path: Path) -> None:
    code, out, said = run("out.mp4", "--json", "--prompt", "a person smiles")
    assert code == 0, said
    report = json.loads(out.splitlines()[-1])
    assert (report["frames"], report["fps"], report["device"]) == (22, 24.0, "cpu")
    assert report["stages_ms"]["denoise"]["p50"] > 0
    assert report["denoising"]["passes"] >= 2
    assert report["denoising"]["mfu"] is None, "of a CPU it is not told"
    assert "soul at 64 x 96" in said
    assert "has not learned to hear" in said
    shown = pictures(tmp_path / "out.mp4")
    assert shown.shape == (22, 64, 96, 3)
    assert len({frame.tobytes() for frame in shown}) > 11, "it moves"
    with av.open(str(tmp_path / "out.mp4")) as film:
        for stream in (film.streams.video[0], film.streams.audio[0]):
            assert stream.duration is not None
            assert stream.time_base is not None
            assert float(stream.duration * stream.time_base) == pytest.approx(SECONDS, abs=0.002)
    assert [p.name for p in tmp_path.iterdir() if "out.mp4" in p.name] == ["out.mp4"]


@pytest.mark.parametrize(
    "more",
    [
        ("--dtype", "fp8", "--tile", "--fps", "25"),
        ("--dtype", "bf16", "--mode", "stream", "--steps", "1", "--fps", "25"),
    ],
    ids=["fp8 in tiles", "bf16 in a stream"],
)
def test_half_precision_and_eight_bits_make_films_too(
    run: Run, tmp_path: Path, more: tuple[str, ...]
) -> None:
    code, _, said = run("out.mp4", *more)
    assert code == 0, said
    shown = pictures(tmp_path / "out.mp4")
    assert shown.shape == (23, 64, 96, 3)
    assert len({frame.tobytes() for frame in shown}) > 11, "it moves"


@pytest.mark.parametrize("mode", ["clip", "stream"])
@pytest.mark.usefixtures("short")
def test_an_interrupted_film_goes_on_and_is_the_same(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    if mode == "stream":
        made.retold(folder, **made.STREAM)
    told = ("--mode", mode, "--prompt", "calmly", "--at", "0.3:happy", "--seed", "3")
    try:
        assert run("whole.mp4", *told)[0] == 0
        with monkeypatch.context() as patched:
            interrupt(patched, after=1)
            code, _, said = run("parts.mp4", *told)
            assert code == 130
            assert "the same command goes on" in said
        assert not (tmp_path / "parts.mp4").exists()
        code, _, said = run("parts.mp4", *told)
        assert code == 0, said
        assert f"going on from chunk {1 if mode == 'clip' else 3}" in said
        assert (tmp_path / "parts.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
        run("other.mp4", *told[:-1], "4")
        assert not np.array_equal(
            pictures(tmp_path / "other.mp4"), pictures(tmp_path / "parts.mp4")
        )
    finally:
        made.retold(folder, **made.CLIPS)


def altered(path: Path) -> None:
    """Other weights of the same shapes."""
    tensors = load_file(path)
    save_file({name: (value * 1.5).contiguous() for name, value in tensors.items()}, path)


@pytest.mark.usefixtures("short")
def test_a_film_is_not_gone_on_with_by_another_listener(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = made.taught(folder, tmp_path / "taught")
    other = tmp_path / "other"
    shutil.copytree(taught / "whisper", other)
    altered(other / "model.safetensors")
    mine, its = ("--model", str(taught)), ("--model", str(taught), "--ear", str(other))
    assert run("whole.mp4", *its)[0] == 0
    with monkeypatch.context() as patched:
        interrupt(patched, after=1)
        assert run("parts.mp4", *mine)[0] == 130
    code, _, said = run("parts.mp4", *its)
    assert code == 0, said
    assert "going on" not in said
    assert (tmp_path / "parts.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.usefixtures("short")
def test_a_film_is_not_gone_on_with_by_another_light_decoder(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    save_file(Tae().state_dict(), own / "taew2_2.safetensors")
    told = ("--model", str(own), "--decoder", "taew2_2")
    with monkeypatch.context() as patched:
        interrupt(patched, after=1)
        assert run("parts.mp4", *told)[0] == 130
    altered(own / "taew2_2.safetensors")
    code, _, said = run("parts.mp4", *told)
    assert code == 0, said
    assert "going on" not in said


def test_a_public_avatar_with_packed_sound_and_conditions(run: Run, tmp_path: Path) -> None:
    """wav2vec2, a reference and a mask beside the latents, Wan2.1's VAE; its sound guides too."""
    model = ("--model", str(made.avatar(tmp_path / "avatar")))
    code, out, said = run("out.mp4", "--json", "--audio-guidance", "2", "--dtype", "bf16", *model)
    assert code == 0, said
    assert "has not learned" not in said
    assert json.loads(out.splitlines()[-1])["fps"] == 25
    shown = pictures(tmp_path / "out.mp4")
    assert shown.shape == (23, 32, 48, 3)
    assert len({frame.tobytes() for frame in shown}) > 11, "it moves"
    code, _, said = run("out.mp4", "--mode", "stream", *model)
    assert code == 1
    assert "17 channels of conditions" in said
    code, _, said = run("out.mp4", "--decoder", "taew2_2", *model)
    assert code == 1
    assert "taew2_2 decodes latents of 48 channels" in said

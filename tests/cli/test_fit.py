"""`soul fit` from outside: clips that the test films, through the true stages, into the folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from made_folders import forbidden, made_folder, tiny_vae
from made_videos import write_video
from soul.checkpoints.manifest import MANIFEST, read_manifest, verify
from soul.checkpoints.modules import open_codebook, open_evae, open_vae
from soul.cli.main import app
from soul.model.wan.evae import EvaeStream
from soul.training.encoded import open_encoded

WIDTH = (
    *("--width", "4", "--batch", "2", "--crop", "2", "--latents", "2", "--pieces", "1"),
    *("--peak", "3e-3"),
)


def run(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["fit", *map(str, words)])
    return result.exit_code, " ".join(result.stdout.split()), " ".join(result.stderr.split())


def film(path: Path, seed: int) -> Path:
    """Coloured bars that move."""
    colours = np.random.default_rng(seed).integers(0, 256, (1, 8, 3), np.uint8)
    bars = np.repeat(np.repeat(colours, 12, 1), 64, 0)
    pictures: list[NDArray[np.uint8]] = [np.roll(bars, 5 * k, 1) for k in range(6)]
    return write_video(path, pictures)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in range(6):
        film(folder / f"{number}.mkv", number)
    (folder / "broken.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("models") / "tiny", tiny_vae())


@pytest.fixture(scope="module")
def out(films: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose clips are encoded."""
    out = tmp_path_factory.mktemp("runs") / "fit"
    code, said, told = run("encode", model, films, "-o", out, "--side", "64", "--shortest", "5")
    assert code == 0, told
    assert "6 clips as latents" in said
    assert "left out: 'broken.mp4' cannot be read as a video" in told
    return out


@pytest.mark.parametrize("stage", ["encode", "codebook", "evae"])
def test_a_licence_is_shown_before_anything_is_fitted(
    stage: str, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUL_HOME", str(tmp_path / "home"))
    strict, new = forbidden(made_folder(tmp_path / "tiny", tiny_vae())), tmp_path / "new"
    told = (stage, strict, films) if stage == "encode" else (stage, strict)
    code, _, said = run(*told, "-o", new)
    assert code == 2
    assert "talkverse-5b may not be used for money" in said
    assert "expected --accept-licence" in said
    assert not new.exists()
    short = ("--side", "64", "--shortest", "5") if stage == "encode" else ()
    run(*told, "-o", new, *short, "--accept-licence")
    assert "money" not in run(*told, "-o", new, *short)[2], "asked once"


def test_clips_become_latents_of_the_full_encoder(out: Path) -> None:
    clips = open_encoded(out)
    assert len(clips) == 6
    assert clips[0].shape == (48, 2, 4, 6)
    assert not np.array_equal(clips[0], clips[1])


def test_other_settings_do_not_go_on(out: Path, model: Path, films: Path) -> None:
    code, _, told = run("encode", model, films, "-o", out, "--side", "32", "--shortest", "5")
    assert code == 2
    assert "holds a run with films.side 64, this one has 32" in told


def test_a_codebook_of_the_clips_pulls_strays_back(out: Path, model: Path) -> None:
    few = ("--centroids", "10", "--each", "8", "--rounds", "3", "--quantile", "0.9")
    code, said, told = run("codebook", model, "-o", out, *few)
    assert code == 0, told
    assert "a codebook of 10 x 48" in said
    codebook = open_codebook(model, "cpu")
    clip = torch.from_numpy(open_encoded(out)[0].astype(np.float32))[None]
    assert codebook(clip)[1].item() < 0.5
    assert codebook(clip + 50)[1].item() == 1
    verify(model, read_manifest(model / MANIFEST))


def test_the_light_decoder_learns_and_the_folder_decodes_with_it(out: Path, model: Path) -> None:
    latents = torch.from_numpy(open_encoded(out)[0].astype(np.float32))[None]
    wanted = open_vae(model, "cpu").decode(latents.movedim(2, 1)).movedim(2, 1)

    def apart() -> float:
        with torch.no_grad():
            return float((open_evae(model, "cpu")(latents) - wanted).abs().mean())

    code, _, told = run("evae", model, "-o", out, *WIDTH, "--steps", "1")
    assert code == 0, told
    before = apart()
    code, said, told = run("evae", model, "-o", out, *WIDTH, "--steps", "40")
    assert code == 0, told
    assert "a light decoder of 0.16 M parameters" in said
    assert apart() < 0.7 * before  # on a clip that was not trained on
    light, stream = open_evae(model, "cpu"), EvaeStream()
    pieces = torch.cat([light(latents[:, :, k : k + 1], stream) for k in range(2)], 2)
    torch.testing.assert_close(pieces, light(latents), atol=1e-5, rtol=0)
    for name in ("samples.png", "curves.png", "state.pt"):
        assert (out / "evae" / name).exists()
    assert {"total", "psnr"} <= json.loads((out / "evae" / "curves.json").read_text()).keys()
    verify(model, read_manifest(model / MANIFEST))


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--latents", "9"), 2, "has 2 latents, a walk takes 9"),
        (("--looks", "nowhere"), 1, "'nowhere' names no plug-in; expected module:function"),
        (("--device", "abacus"), 2, "--device 'abacus' is not known"),
        (("--save-every", "7", "--pieces", "2"), 2, "save_every 7 is not a number of walks"),
    ],
)
def test_bad_input_is_one_sentence(
    out: Path, model: Path, tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    ended, _, told = run("evae", model, "-o", tmp_path, "--encoded", out, *WIDTH, *words)
    assert ended == code, told
    assert sentence in told
    assert "Traceback" not in told


def test_what_is_not_there_is_one_sentence(model: Path, films: Path, tmp_path: Path) -> None:
    for command in ("evae", "codebook"):
        ended, _, told = run(command, model, "-o", tmp_path / "run")
        assert ended == 2
        assert "holds no latents; expected those of soul fit encode" in told
    ended, _, told = run("encode", tmp_path / "none", films, "-o", tmp_path / "run")
    assert ended == 1
    assert "manifest.json is missing; expected a manifest" in told
    ended, _, told = run("encode", model, tmp_path, "-o", tmp_path / "run")
    assert ended == 1
    assert "holds no video" in told
    assert not (tmp_path / "run").exists()

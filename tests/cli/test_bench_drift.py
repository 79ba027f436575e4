"""`soul bench drift` from outside, with minutes of a second and a model of random weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from soul.cli import extras
from soul.cli.bench import drift
from soul.cli.bench.diary import Diary
from soul.cli.main import app
from soul.model.config import SOUL_TEST
from soul.model.load import save
from soul.model.sample import build
from soul.training import drift as rollout
from soul.training import identity, speech
from soul.training.drift import DriftConfig, Take


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", "drift", "--threads", "1", *arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights that paint pictures of the size that the probe reads; its codebook bites."""
    tiny = build(replace(SOUL_TEST, image_size=256, name="soul-tiny"), 0)
    tiny.codebook.centroids.normal_()
    tiny.codebook.threshold.fill_(6.5)
    folder = tmp_path_factory.mktemp("tiny")
    save(tiny, folder)
    return str(folder)


def noise(config: DriftConfig, minute: int) -> Take:
    """A take that is the same each time: voices are not quite, see `speech.speak`."""
    rng = np.random.default_rng([config.seed, minute])
    pcm = rng.normal(0, 0.1, 640 * config.frames).astype(np.float32)
    opening = rng.random(config.frames).astype(np.float32)
    return Take(pcm, opening, opening < 0.2)


@pytest.fixture(autouse=True)
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "CHUNKS_A_MINUTE", 7)
    monkeypatch.setattr(rollout, "take", noise)


def read(folder: Path) -> list[dict[str, object]]:
    """The lines of minutes, without what the machine's clock says."""
    lines = [json.loads(line) for line in (folder / "minutes.jsonl").read_text().splitlines()]
    for line in lines:
        del line["codebook_share"], line["realtime_factor"]
    return lines


@pytest.fixture(scope="module")
def me(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A portrait's file."""
    path = tmp_path_factory.mktemp("portrait") / "me.png"
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    Image.fromarray(picture).save(path)
    return str(path)


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    model: str, me: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Diary, "draw", lambda diary: None)  # curves take their time
    arguments = ("--model", model, "--portrait", me, "--seed", "5", "--out")
    whole, half = str(tmp_path / "whole"), tmp_path / "half"
    assert bench(*arguments, whole, "--minutes", "3").exit_code == 0
    assert "minute 2 of 2" in bench(*arguments, str(half), "--minutes", "2").stderr
    with (half / "minutes.jsonl").open("a") as file:
        file.write('{"minute": 3, "begun": "and not kept"}\n')
    rest = bench(*arguments, str(half), "--minutes", "3")
    assert rest.exit_code == 0, rest.output
    assert "minute 2 of" not in rest.stderr
    assert read(half) == read(Path(whole))
    other = bench("--model", model, "--portrait", me, "--out", str(half), "--minutes", "3")
    assert other.exit_code == 1
    assert "holds a measurement with seed 5, this one has 130001" in other.stderr


def test_a_drawn_person_is_measured_part_by_part(model: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = bench("--model", model, "--minutes", "2", "--out", str(out))
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["machine"]["cores"] >= 1
    assert (printed["length_minutes"], printed["parts"]) == (2, "known")
    first, last = printed["minutes"]
    assert first["identity_distance"] == pytest.approx(0, abs=1e-6)
    assert set(last["tint"]) == {"picture", "skin", "hair", "clothes", "background"}
    assert 0 < last["pulled_back"] <= 1
    assert 0 < last["codebook_share"] < 1
    assert json.loads((out / "report.json").read_text()).items() <= printed.items()
    assert Image.open(out / "sheet.png").size == (2 * 256, 256)
    assert (out / "curves.png").exists()


def test_a_portrait_from_a_file_has_no_parts_and_says_so(model: str, me: str) -> None:
    done = bench("--model", model, "--minutes", "2", "--portrait", me)
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["parts"] == "unknown: the portrait is not a drawn one"
    assert (printed["portrait"], set(printed["minutes"][1]["tint"])) == ("me.png", {"picture"})
    slope = printed["slope_per_hour"]["identity_distance"]
    assert slope == {"slope": None, "error": None, "seen": False}  # one minute after the first


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--minutes", "1"), "--minutes 1 is too short; expected at least two minutes"),
        (("--hours", "0.01"), "--hours 0.01 is too short"),
        (("--hours", "nan"), "--hours nan is too short"),
        (("--hours", "1", "--minutes", "5"), "--hours 1 and --minutes 5 are both given"),
        (("--noise", "0.5"), "--noise 0.5 has no use here; expected --ablation"),
        (("--ablation", "--weights-off", "-1"), "--weights-off -1 is not a size"),
        (("--ablation", "--noise", "nan"), "--noise nan is not a size"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    done = bench(*arguments)
    assert done.exit_code == 2
    assert sentence in done.stderr


def test_what_is_not_there_is_one_sentence(model: str, tmp_path: Path) -> None:
    done = bench("--model", model, "--portrait", str(tmp_path / "nobody.png"))
    assert done.exit_code == 1
    assert "nobody.png" in done.stderr
    done = bench("--model", str(tmp_path / "none"))
    assert done.exit_code == 1
    assert "no model at" in done.stderr


def test_a_model_of_another_size_is_refused_before_hours_begin(tmp_path: Path) -> None:
    save(build(SOUL_TEST, 0), tmp_path / "small")
    done = bench("--model", str(tmp_path / "small"))
    assert done.exit_code == 1
    assert "expected [T, 256, 256, 3]" in done.stderr


def test_missing_extra_voices_and_eye_are_one_sentence(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(extras.NEEDED, "training", {"no_such": "scipy"})
        assert "bench drift needs scipy: run pip install" in bench().stderr
    with monkeypatch.context() as patch:
        patch.setattr(speech, "missing", lambda: ("flite",))
        assert "bench drift needs the voices of flite" in bench().stderr
    monkeypatch.setattr(identity, "SHIPPED", tmp_path / "none.safetensors")
    done = bench("--model", model)
    assert done.exit_code == 1
    assert "expected the weights of an identity embedding" in done.stderr


def test_a_kept_stream_that_is_broken_is_one_sentence(model: str, me: str, tmp_path: Path) -> None:
    arguments = ("--model", model, "--portrait", me, "--out", str(tmp_path))
    assert bench(*arguments, "--minutes", "2").exit_code == 0
    (tmp_path / "stream.pt").write_bytes(b"no stream")
    done = bench(*arguments, "--minutes", "3")
    assert done.exit_code == 1
    assert "stream.pt could not be read, expected a kept stream" in done.stderr

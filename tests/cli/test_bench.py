"""What `soul bench` computes from what was seen, and how it speaks; the calls are in tests/e2e."""

import json
import shutil
import wave
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from soul.cli.bench import browser, live, machine, sessions, sounds
from soul.cli.bench.model import device_memory
from soul.cli.bench.server import BenchError, Resources
from soul.cli.main import app
from soul.model.config import PRESETS
from soul.model.load import save
from soul.model.sample import build


def pictures(times: list[float], lights: list[float] | None = None) -> live.Array:
    lights = lights or [0.0] * len(times)
    return np.array([[t, n, light] for n, (t, light) in enumerate(zip(times, lights, strict=True))])


def test_a_steady_film_has_its_rate_and_no_freezes() -> None:
    figures = live.delivered(pictures([40.0 * n for n in range(101)]))
    assert figures["fps"] == 25.0
    assert figures["pictures"] == 101
    assert figures["freezes_over_200_ms"] == 0
    assert figures["gap_ms"] == {"p50": 40.0, "p99": 40.0, "longest": 40.0}


def test_a_gap_over_200_ms_is_a_freeze() -> None:
    figures = live.delivered(pictures([0, 40, 241, 441, 480]))
    assert figures["freezes_over_200_ms"] == 1
    assert figures["gap_ms"]["longest"] == 201.0


def test_pictures_that_the_probe_missed_count_as_shown() -> None:
    seen = pictures([0, 40, 120])
    seen[2, 1] = 3
    assert live.delivered(seen)["fps"] == 25.0


def test_one_picture_is_no_film() -> None:
    with pytest.raises(BenchError, match="expected a film"):
        live.delivered(pictures([0.0]))


def test_delays_are_those_of_seconds_with_pictures() -> None:
    heard = [{"delay_p50_ms": a, "delay_p95_ms": b} for a, b in ((0, 0), (250, 280), (270, 330))]
    assert (live.delays(heard)["p50"], live.delays(heard)["p95"]) == (260.0, 330.0)
    assert live.delays(heard[:1])["p50"] is None


def test_the_middle_of_a_flash_is_the_middle_of_its_beep() -> None:
    """Beeps of 200 ms at any phase of the 40 ms pictures: right on average, though each is not."""
    wrong = []
    for begin in np.arange(1000.0, 1040.0):
        times = [40.0 * n for n in range(60)]
        beeping = [t < begin + 200 and t + 40 > begin for t in times]
        flash = live.flash_middles(pictures(times, [255.0 if on else 16.0 for on in beeping]))
        assert len(flash) == 1
        wrong.append(flash[0] - (begin + 100))
    assert abs(np.mean(wrong)) < 1
    assert max(np.abs(wrong)) <= 20


def test_half_a_tone_at_either_end_is_no_tone() -> None:
    events = [[False, 10.0], [True, 100.0], [False, 300.0], [True, 900.0]]
    assert live.tone_middles(events) == [200.0]


def test_a_flash_belongs_to_the_nearest_beep() -> None:
    beeps = [1000.0, 2000.0, 3000.0]
    assert live.differences([1030.0, 1990.0, 5000.0], beeps, -450) == [30.0, -10.0]


def test_a_beep_in_the_microphone_comes_before_its_flash() -> None:
    assert live.differences([1400.0, 2390.0], [1000.0, 2000.0], 0) == [400.0, 390.0]


def test_a_spread_of_nothing_is_nothing() -> None:
    assert live.spread([]) == {"p50": None, "p5": None, "p95": None}
    assert live.spread([1, 2, 3])["p50"] == 2.0


def test_what_grows_between_the_warm_up_and_the_last_session() -> None:
    held = {
        n: Resources(1000 + 10 * n, {"server": 400 + 8 * n, "worker": 600 + 2 * n}, 5, 20, 30, 3)
        for n in range(26)
    }
    figures = sessions.compare(held)
    assert figures["grown"]["memory_bytes"] == 200
    assert figures["grown"]["tasks"] == 0
    assert figures["memory_slope_bytes_a_session"] == 10
    assert figures["after_25"]["memory_bytes"] == 1250
    assert figures["memory_slope_bytes_a_session_of"] == {"server": 8, "worker": 2}
    assert figures["memory_every_5_of"]["server"] == [440, 480, 520, 560, 600]


def test_memory_that_comes_and_goes_does_not_grow() -> None:
    """Sixteen megabytes kept for later now and then: the last call may be one of those."""
    held = {
        n: Resources(2**28 + (n % 5 == 0) * 2**24, {"worker": 2**28}, 5, 20, 30, 3)
        for n in range(51)
    }
    figures = sessions.compare(held)
    assert abs(figures["memory_slope_bytes_a_session"]) < 20_000


def test_the_machine_is_described() -> None:
    described = machine.describe("Chromium 1")
    assert described.cores >= 1
    assert described.memory_bytes > 2**28
    assert described.chromium == "Chromium 1"
    assert described.torch == version("torch")
    assert described.cuda == torch.version.cuda


def test_a_gpu_and_the_large_models_libraries_are_described(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(machine, "version", lambda package: f"{package} 1")
    found = machine.describe()
    assert (found.gpu, found.cuda) == ("GPU 0", "12.6")
    assert (found.diffusers, found.transformers) == ("diffusers 1", "transformers 1")


def test_what_a_machine_has_not_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(machine, "version", none)
    found = machine.describe()
    assert found.torch == "missing"
    assert (found.gpu, found.cuda, found.diffusers, found.transformers) == (None,) * 4


def test_memory_is_that_of_the_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 7)
    assert device_memory("cuda:1") == 7
    assert device_memory("cpu") is None


def test_beeps_are_irregular_tones_between_silence(tmp_path: Path) -> None:
    sounds.write_beeps(tmp_path / "beeps.wav", 10)
    with wave.open(str(tmp_path / "beeps.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (48_000, 1)
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    loud = np.abs(pcm).reshape(-1, 480).max(axis=1) > 0.1
    begins = np.flatnonzero(loud[1:] & ~loud[:-1])
    assert 7 <= len(begins) <= 12
    assert len(set(np.diff(begins))) > 3
    assert np.abs(pcm).max() == pytest.approx(sounds.LEVEL, abs=0.01)


def test_a_missing_voice_or_browser_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BenchError, match="espeak-ng is missing"):
        sounds.write_speech(tmp_path / "speech.wav")
    with pytest.raises(BenchError, match="Chromium is missing"):
        browser.find_chromium()
    done = CliRunner().invoke(app, ["bench", "live"])
    assert done.exit_code == 1
    assert "Chromium is missing" in done.stderr


def test_the_model_is_measured_and_printed_as_one_object(tmp_path: Path) -> None:
    save(build(PRESETS["soul-test"], 0), tmp_path)
    done = CliRunner().invoke(
        app, ["bench", "model", "--model", str(tmp_path), "--chunks", "3", "--threads", "1"]
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["bench"] == "model"
    assert figures["peak_device_memory_bytes"] is None
    assert figures["chunks"] == 3
    assert figures["budget_ms"] == 160.0
    assert figures["parameters"]["all"] > 1000
    assert set(figures["stages_ms"]) == {"listen", "denoise", "decode", "commit", "total"}
    assert figures["denoising"]["passes"] == 2
    assert figures["denoising"]["flops_a_pass"] > 1000
    assert figures["denoising"]["mfu"] is None
    assert figures["machine"]["torch"].startswith("2.")


def test_missing_weights_are_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "model", "--model", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "expected a folder" in done.stderr

"""What `soul bench` computes from what was seen, and how it speaks; the calls are in tests/e2e."""

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from soul.cli.bench import browser, drift, live, machine, sessions, sounds
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
    assert figures["chunks"] == 3
    assert figures["budget_ms"] == 160.0
    assert figures["parameters"]["all"] > 1000
    assert set(figures["stages_ms"]) == {"listen", "denoise", "decode", "commit", "total"}
    assert figures["machine"]["torch"].startswith("2.")


def test_missing_weights_are_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "model", "--model", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "expected a folder" in done.stderr


def minute(level: int, spread: int = 0, pulled_back: float = 0.0) -> drift.Seen:
    """Six pictures of one grey, every second one lighter by `spread`."""
    pictures = np.full((6, 32, 32, 3), level, np.uint8)
    pictures[::2] += np.uint8(spread)
    return drift.Seen(pictures, pulled_back)


def test_minutes_that_are_alike_have_not_drifted() -> None:
    portrait = np.full((32, 32, 3), 120, np.uint8)
    found = drift.compare(portrait, [minute(120), minute(120, pulled_back=0.25)])
    assert [m.delta_e_to_portrait for m in found] == [0, 0]
    assert [m.delta_e_to_first_minute for m in found] == [0, 0]
    assert [m.change for m in found] == [0, 0]
    assert [m.pulled_back for m in found] == [0, 0.25]


def test_a_minute_that_grows_darker_has_drifted() -> None:
    portrait = np.full((32, 32, 3), 120, np.uint8)
    found = drift.compare(portrait, [minute(110), minute(90, spread=4)])
    assert found[0].delta_e_to_first_minute == 0
    assert found[0].delta_e_to_portrait > 2
    assert found[1].delta_e_to_portrait > found[1].delta_e_to_first_minute > 5
    assert found[1].change == 4


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_drift_prints_a_figure_a_minute_and_writes_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "CHUNKS_A_MINUTE", 12)
    save(build(PRESETS["soul-test"], 0), tmp_path / "tiny")
    sheet = tmp_path / "minutes.png"
    arguments = ["bench", "drift", "--minutes", "2", "--threads", "1"]
    done = CliRunner().invoke(
        app, [*arguments, "--model", str(tmp_path / "tiny"), "--sheet", str(sheet)]
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert len(figures["minutes"]) == 2
    assert figures["minutes"][0]["delta_e_to_first_minute"] == 0
    assert figures["minutes"][1]["change"] > 0
    assert figures["machine"]["cores"] >= 1
    assert Image.open(sheet).size == (3 * 64, 64)


def test_drift_names_a_portrait_that_is_not_there(tmp_path: Path) -> None:
    save(build(PRESETS["soul-test"], 0), tmp_path / "tiny")
    missing = tmp_path / "nobody.png"
    done = CliRunner().invoke(
        app, ["bench", "drift", "--model", str(tmp_path / "tiny"), "--portrait", str(missing)]
    )
    assert done.exit_code == 1
    assert "nobody.png" in done.stderr

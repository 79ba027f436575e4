"""`soul bench whisper`: a row for each length of context, and random weights called random."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from soul.cli import extras
from soul.cli.bench.sounds import write
from soul.cli.main import app
from soul.model.wan.whisper import WhisperSizes, network


def bench(*arguments: str) -> Result:
    told = ["bench", "whisper", "--threads", "1", *arguments]
    return CliRunner().invoke(app, told, env={"COLUMNS": "200"})


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A second of noise."""
    path = tmp_path / "noise.wav"
    write(path, np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32))
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small Whisper as openai publishes its large one."""
    folder = tmp_path / "whisper"
    folder.mkdir()
    torch.manual_seed(0)
    net = network(WhisperSizes(80, 16, 32, layers=1, heads=2, positions=150))
    tensors = {f"model.encoder.{name}": tensor for name, tensor in net.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    told = {
        "num_mel_bins": 80, "d_model": 16, "encoder_ffn_dim": 32, "encoder_layers": 1,
        "encoder_attention_heads": 2, "max_source_positions": 150,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(told))
    return folder


def test_each_length_of_context_is_measured_with_and_without_silence(
    sound: Path, weights: Path
) -> None:
    done = bench(
        "--weights", str(weights), "--sound", str(sound), "--past", "0", "--past", "320",
        "--lookahead", "60", "--fps", "24",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert (printed["bench"], printed["trained"], printed["seed"]) == ("whisper", True, None)
    assert printed["weights"] == str(weights)
    assert printed["machine"]["cores"] >= 1
    assert (printed["seconds"], printed["fps"]) == (1.0, 24)
    rows = [(row["past"], row["lookahead"], row["positions"]) for row in printed["contexts"]]
    assert rows == [(0, 3, 150), (0, 3, 12), (16, 3, 150), (16, 3, 28)]
    assert all(row["relative"] > 0 for row in printed["contexts"])
    assert "what a stream's short hearing costs" in done.stderr
    assert "Random" not in done.stderr


def test_random_weights_are_called_random(sound: Path) -> None:
    done = bench(
        "--sound", str(sound), "--layers", "0", "--seconds", "0.1", "--past", "320", "--seed", "3"
    )
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert (printed["weights"], printed["trained"], printed["seed"]) == ("random", False, 3)
    assert printed["sizes"]["width"] == 1280
    assert "these figures tell nothing of a real Whisper" in done.stderr


def test_what_is_missing_or_no_length_is_told(sound: Path, tmp_path: Path) -> None:
    done = bench("--past", "30")
    assert done.exit_code == 2
    assert "--past 30 is not a multiple of 20 ms" in done.stderr
    done = bench("--sound", str(sound), "--weights", str(tmp_path / "none"))
    assert done.exit_code == 1
    assert "no Whisper at" in done.stderr
    done = bench("--sound", str(tmp_path / "none.wav"), "--layers", "0")
    assert done.exit_code == 1
    assert "is not a file" in done.stderr


def test_a_past_beyond_what_whisper_takes_is_told(sound: Path, weights: Path) -> None:
    done = bench("--weights", str(weights), "--sound", str(sound), "--past", "10000")
    assert done.exit_code == 1
    assert "positions 150 cannot hold the 510" in done.stderr


def test_without_its_libraries_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(extras.NEEDED, "wan", {"no_such": "transformers"})
    done = bench("--layers", "0")
    assert done.exit_code == 1
    assert "bench whisper needs transformers: run pip install -e '.[wan]'" in done.stderr

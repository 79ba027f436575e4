"""`soul convert` from outside: a tiny family through the very path of the large one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

import made_checkpoints as made
from soul.checkpoints import convert as converting
from soul.checkpoints.manifest import MANIFEST, read_manifest
from soul.cli.main import app


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command knows the tiny family alone."""
    monkeypatch.setenv("SOUL_HOME", str(tmp_path / "home"))
    known = converting.Options

    def options(**told: object) -> converting.Options:
        return known(**told, families=(made.TINY,))  # type: ignore[arg-type]

    monkeypatch.setattr(converting, "Options", options)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.official(tmp_path_factory.mktemp("official"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def test_a_folder_is_converted(source: Path, tmp_path: Path) -> None:
    result = run(source, tmp_path / "soul", "--dtype", "fp32")
    assert result.exit_code == 0, result.stderr
    assert "tiny, sound: none" in " ".join(result.stdout.split())
    assert read_manifest(tmp_path / "soul" / MANIFEST).name == "soul"
    result = run(source, tmp_path / "soul")
    assert result.exit_code == 1
    assert "exists already; expected a new folder" in " ".join(result.stderr.split())


def test_a_strict_licence_stops_it_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    told = ("--origin", "livetalk-1.3b")
    result = run(source, tmp_path / "soul", *told)
    assert result.exit_code == 2
    assert "CC BY-NC-SA 4.0" in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert run(source, tmp_path / "soul", *told, "--accept-licence").exit_code == 0
    (origin,) = read_manifest(tmp_path / "soul" / MANIFEST).origins
    assert not origin.commercial


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--dtype", "int4"), 2, "--dtype 'int4' is not known; expected bf16 or fp16 or fp32"),
        (("--lora", "style.safetensors=much"), 2, "'much' is not a number; expected FILE or"),
        (("--lora", "style.safetensors=nan"), 2, "'nan' is not a number; expected FILE or"),
        (("--lora", "none.safetensors"), 1, "none.safetensors is missing"),
        (("--origin", "wan9"), 1, "no checkpoint is called 'wan9'"),
    ],
)
def test_bad_input_is_one_sentence(
    source: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    result = run(source, tmp_path / "soul", *arguments)
    assert result.exit_code == code
    assert sentence in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_wrong_tensors_are_a_list(source: Path, tmp_path: Path) -> None:
    more = {**made.dit_tensors(), "a.bias": torch.zeros(8), "b.bias": torch.zeros(2)}
    save_file(more, tmp_path / "more.safetensors")
    result = run(tmp_path / "more.safetensors", tmp_path / "soul", "--base", source)
    assert result.exit_code == 1
    first, *lines = result.stderr.splitlines()
    assert first.endswith("more.safetensors does not fit: 2 unexpected tensors")
    assert lines == ["  unexpected a.bias [8]", "  unexpected b.bias [2]."]
    assert not (tmp_path / "soul").exists()

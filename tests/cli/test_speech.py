"""A folder of recordings is read with texts and languages, and what is wrong is one sentence."""

import wave
from pathlib import Path

import numpy as np
import pytest

from soul.cli.speech import FolderError, read_recordings


def record(path: Path, rate: int = 8_000) -> None:
    sound = (8_000 * np.sin(np.arange(rate))).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.tobytes())


def test_recordings_come_by_name_with_text_and_language(tmp_path: Path) -> None:
    for name, text, said in (
        ("b.wav", "b.de.txt", "Guten Tag.\n"),
        ("a.wav", "a.txt", "Good day."),
        ("a.2.wav", "a.2.pt-br.txt", "Bom dia."),
    ):
        record(tmp_path / name, 44_100)
        (tmp_path / text).write_text(said, encoding="utf-8")
    (tmp_path / "SOURCES.md").write_text("where they are from")
    found = read_recordings(tmp_path)
    assert [(one.name, one.text, one.language) for one in found] == [
        ("a.2", "Bom dia.", "pt-br"),
        ("a", "Good day.", "en"),
        ("b", "Guten Tag.", "de"),
    ]
    assert all(abs(one.pcm.size - 16_000) < 100 for one in found)


def test_a_missing_a_double_and_an_empty_text_are_named(tmp_path: Path) -> None:
    record(tmp_path / "a.wav")
    with pytest.raises(FolderError, match=r"'a.wav' needs one text beside it, a.txt .*found none"):
        read_recordings(tmp_path)
    (tmp_path / "a.fr.txt").write_text("  \n")
    with pytest.raises(FolderError, match=r"a.fr.txt' is empty; expected what is said in 'a.wav'"):
        read_recordings(tmp_path)
    (tmp_path / "a.fr.txt").write_bytes(b"\xe9t\xe9")
    with pytest.raises(FolderError, match=r"a.fr.txt' is no text in UTF-8"):
        read_recordings(tmp_path)
    (tmp_path / "a.txt").write_text("Good day.")
    with pytest.raises(FolderError, match=r"found 'a.fr.txt' and 'a.txt'"):
        read_recordings(tmp_path)


def test_no_folder_and_no_recordings_are_named(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="none' is not a folder"):
        read_recordings(tmp_path / "none")
    with pytest.raises(FolderError, match=r"holds no .wav; expected recordings"):
        read_recordings(tmp_path)

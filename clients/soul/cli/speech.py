"""Reads a folder of recordings with what is said in them, for `soul eval --speech`.

NAME.wav, at any rate, has its text beside it: NAME.txt if it is English, else NAME.LANGUAGE.txt
with eSpeak NG's name of the language, such as NAME.de.txt or NAME.pt-br.txt. Knows no model.
"""

from pathlib import Path

from soul.cli.sound import read_sound
from soul.training.recorded import Recording

DEFAULT = "en"


class FolderError(Exception):
    """The folder is not what was asked for; the message is one sentence."""


def read_recordings(folder: Path) -> list[Recording]:
    """All recordings in `folder` by name. Raises FolderError, SoundError."""
    if not folder.is_dir():
        raise FolderError(f"{str(folder)!r} is not a folder; expected one with .wav and .txt files")
    sounds = sorted(folder.glob("*.wav"))
    if not sounds:
        raise FolderError(f"{str(folder)!r} holds no .wav; expected recordings and their texts")
    found = []
    for sound in sounds:
        text, language = text_of(sound)
        found.append(Recording(sound.stem, read_sound(sound).speech, text, language))
    return found


def text_of(sound: Path) -> tuple[str, str]:
    """What is said in a recording, and its language. Raises FolderError."""
    stem = f"{sound.stem}."
    texts = [
        path
        for path in sorted(sound.parent.glob("*.txt"))
        if path.name.startswith(stem) and "." not in path.name[len(stem) : -len(".txt")]
    ]
    if len(texts) != 1:
        there = " and ".join(repr(path.name) for path in texts) or "none"
        raise FolderError(
            f"{sound.name!r} needs one text beside it, {stem}txt or with a language "
            f"{stem}de.txt; found {there}"
        )
    try:
        said = texts[0].read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise FolderError(f"{str(texts[0])!r} is no text in UTF-8") from None
    if not said:
        raise FolderError(f"{str(texts[0])!r} is empty; expected what is said in {sound.name!r}")
    return said, texts[0].name[len(stem) : -len(".txt")] or DEFAULT

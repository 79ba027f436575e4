"""Microphones: speech with pauses, and beeps at irregular moments, as wav files.

Speech comes from espeak-ng. Knows no browser.
"""

import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soul.cli.bench.server import BenchError

RATE = 48_000
SENTENCES = (
    "Good morning. I am a voice that speaks into a portrait.",
    "Papa and mama bought a big blue boat, and now we all go out.",
    "How are you today? I hope that you can see me talking.",
)
PAUSE_SECONDS = 1.5
BEEP_SECONDS = 0.2
TONE = 1000  # Hz, as `soul.stream.markers` wants it
LEVEL = 0.5

Samples = NDArray[np.float32]


def write_speech(path: Path) -> None:
    """Three sentences with pauses between them; BenchError if espeak-ng is missing or fails."""
    pause = np.zeros(int(PAUSE_SECONDS * RATE), np.float32)
    parts = [part for text in SENTENCES for part in (speak(text, path.parent), pause)]
    write(path, np.concatenate(parts))


def speak(text: str, folder: Path) -> Samples:
    """`text` as espeak-ng says it, [n] at 48 kHz; files are made in `folder`."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise BenchError("espeak-ng is missing: install it (on Debian: apt-get install espeak-ng)")
    spoken = folder / "spoken.wav"
    done = subprocess.run(
        [program, "-v", "en-us", "-s", "150", "-w", str(spoken), text],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"espeak-ng failed: {done.stderr.strip() or done.returncode}")
    with wave.open(str(spoken)) as sound:
        rate = sound.getframerate()
        pcm = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    at = np.arange(0, len(pcm) - 1, rate / RATE)
    return (np.interp(at, np.arange(len(pcm)), pcm) / 32768).astype(np.float32)


def write_beeps(path: Path, seconds: float, seed: int = 0) -> None:
    """Beeps of 200 ms, 0.7 to 1.3 s apart: irregular, so that none is taken for its neighbour."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(int(seconds * RATE), np.float32)
    length = int(BEEP_SECONDS * RATE)
    beep = LEVEL * np.sin(2 * np.pi * TONE * np.arange(length) / RATE)
    at = RATE
    while at + length + RATE // 2 < len(sound):
        sound[at : at + length] = beep
        at += int(rng.uniform(0.7, 1.3) * RATE)
    write(path, sound)


def write(path: Path, sound: Samples) -> None:
    """[n] float32 as a 16-bit mono wav at 48 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())

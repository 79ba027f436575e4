"""Training shards as `soul data` writes them, of a few small clips whose every picture is known."""

import json
import tarfile
import wave
from pathlib import Path

import numpy as np

from made_videos import write_video

SIZE = (80, 120)  # height and width of the pictures


def made_shards(folder: Path, count: int = 3, frames: int = 30) -> Path:
    """One shard: the first clip has no sound, picture n of clip c is of one grey."""
    folder.mkdir(parents=True)
    with tarfile.open(folder / "000000.tar", "w") as tar:
        for clip in range(count):
            files = {f"c{clip}.json": folder / "j", f"c{clip}.mp4": folder / "v.mp4"}
            greys = [np.full((*SIZE, 3), 40 + 30 * clip + n, np.uint8) for n in range(frames)]
            write_video(files[f"c{clip}.mp4"], greys)
            values = {"frames": frames, "clip_height": SIZE[0], "clip_width": SIZE[1]}
            said = {"scene": "A room.", "action": f"Person {clip} talks.", "light": None}
            files[f"c{clip}.json"].write_text(json.dumps(values | said))
            if clip:
                files[f"c{clip}.wav"] = folder / "s.wav"
                write_wav(files[f"c{clip}.wav"], 640 * frames)
            for name, path in files.items():
                tar.add(path, name)
                path.unlink()
    return folder


def write_wav(path: Path, samples: int, rate: int = 16_000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.full(samples, 8192, "<i2").tobytes())

"""Stage `encode`: training shards → latents, sound and words, once; what the other stages read.

Processes take clips in turn; each notes what it has done, and a run that was stopped goes on from
the notes of all. What encodes is handed in: it knows shards and arrays, and no VAE.
"""

import io
import json
import logging
import tarfile
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from soul.model.config import SoulConfig
from soul.model.vae import from_bytes
from soul.timebase import AUDIO_RATE, FRAMES_PER_LATENT
from soul.training.progress import Length, Progress
from soul.training.tune.clips import ARRAYS, NOTE, WORDS, Encoded
from soul.training.tune.crew import Group, Quiet
from soul.training.tune.settings import EncodeConfig, TuneError

log = logging.getLogger("soul.training")

BEGUN, SAID = "encoding.json", "words.jsonl"
CAPTION = ("scene", "action", "gesture", "expression", "camera", "light")  # in a sample's .json
LEAST_SHOWN = 0.5  # of a clip's picture, when it is cut to the run's size


@dataclass(frozen=True, slots=True)
class Encoders:
    """What encodes: pictures are [n, 3, H, W] in [-1, 1], sound [samples] at 16 kHz."""

    film: Callable[[Tensor], Tensor]  # 1 + 4 (n − 1) pictures → [n, C, h, w]
    still: Callable[[Tensor], Tensor]  # pictures → a latent of each alone
    sound: Callable[[Tensor, int], Tensor]  # sound, latents → [latents, m, audio_dim]
    words: Callable[[str], Tensor]  # a prompt → its rows [rows, text_dim], without padding


@dataclass(frozen=True, slots=True)
class Sample:
    """One clip, and where it lies."""

    shard: Path
    key: str
    frames: int
    height: int
    width: int
    prompt: str


def samples(folder: Path) -> Iterator[Sample]:
    """All clips of all shards below `folder`; TuneError if there are none, or one is broken."""
    shards = sorted(folder.rglob("*.tar"))
    if not shards:
        raise TuneError(f"{folder} holds no shards; expected .tar files that soul data wrote")
    for shard in shards:
        try:
            with tarfile.open(shard) as tar:
                for member in tar:
                    if member.name.endswith(".json"):
                        yield described(shard, member.name, contents(tar, member.name))
        except (OSError, tarfile.TarError, EOFError) as error:
            raise TuneError(f"{shard} is no whole shard: {error}") from None


def contents(tar: tarfile.TarFile, name: str) -> bytes | None:
    """A file of the shard; None if it is not there."""
    try:
        file = tar.extractfile(name)
    except KeyError:
        return None
    return None if file is None else file.read()


def described(shard: Path, name: str, told: bytes | None) -> Sample:
    """A sample as its .json tells; TuneError if that is none of the data engine's."""
    try:
        values: dict[str, Any] = json.loads(told or b"")
        said = [str(values[field]).strip() for field in CAPTION if values.get(field)]
        return Sample(
            shard,
            name.removesuffix(".json"),
            int(values["frames"]),
            int(values["clip_height"]),
            int(values["clip_width"]),
            " ".join(said),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise TuneError(f"{shard}: {name} does not tell of a clip: {error!r}") from None


def chosen(folder: Path, config: SoulConfig, how: EncodeConfig) -> list[Sample]:
    """The clips that are long enough; TuneError if none is, or one is smaller than the run's."""
    found = list(samples(folder))
    needed = frames_of(how.latents)
    long = [sample for sample in found if sample.frames >= needed]
    if not long:
        longest = max((sample.frames for sample in found), default=0)
        raise TuneError(
            f"no clip in {folder} has the {needed} frames of {how.latents} latents, the longest "
            f"has {longest}; expected a smaller encode.latents"
        )
    for sample in long:
        check_size(sample, config)
    if len(long) < len(found):
        log.info("encode  %d clips of %d are too short", len(found) - len(long), len(found))
    return long


def check_size(sample: Sample, config: SoulConfig) -> None:
    """TuneError if a clip would have to be enlarged, or lose half of its picture."""
    across, down = config.width / sample.width, config.height / sample.height
    shown = min(across, down) / max(across, down)
    if max(across, down) > 1 or shown < LEAST_SHOWN:
        raise TuneError(
            f"clip {sample.key} of {sample.shard} has pictures of {sample.height} x "
            f"{sample.width}, and this run's are {config.height} x {config.width}; expected "
            "clips that are at least as large, and of a like shape"
        )


def frames_of(latents: int) -> int:
    return 1 + FRAMES_PER_LATENT * (latents - 1)


@dataclass(frozen=True, slots=True)
class Encoding:
    """One run of the stage, in one folder."""

    folder: Path
    config: SoulConfig
    how: EncodeConfig
    encoders: Encoders
    group: Group
    wait: Callable[[], None]  # until all processes are here
    seed: int

    def run(self, data: Path, model: str) -> None:
        """Encode what is not yet; TuneError if the folder holds another run's."""
        if (self.folder / NOTE).exists():
            return
        clips = chosen(data, self.config, self.how)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.begin(clips, model)
        done = self.done()
        self.wait()
        arrays = {name: np.load(self.folder / f"{name}.npy", "r+") for name in ARRAYS}
        own = range(self.group.share.rank, len(clips), self.group.share.of)
        left = [index for index in own if index not in done]
        words = self.say(clips) if self.group.first else {}
        made = Progress if self.group.first else Quiet
        begun = len(own) - len(left)
        progress = made("encode", self.folder, Length(len(own)), every=20, step=begun)
        with (self.folder / f"done-{self.group.share.rank:05d}").open("a") as journal:
            for step in progress.run() if left else ():
                index = left[step - begun]
                self.clip(arrays, index, clips[index])
                journal.write(f"{index}\n")
                journal.flush()
                progress.add(clips=step + 1)
        self.wait()
        if self.group.first:
            self.finish(clips, model, words)
        self.wait()

    def begin(self, clips: list[Sample], model: str) -> None:
        """Note what is encoded, and make room for it; TuneError if it is not what was begun."""
        path = self.folder / BEGUN
        wanted = f"{self.note(clips, model, ()).to_json()}{self.seed}\n"
        if path.exists():
            if path.read_text(encoding="utf-8") != wanted:
                raise TuneError(
                    f"{self.folder} was begun with other clips, another size or another model; "
                    "expected the same: name another folder, or delete that one to start over"
                )
        elif self.group.first:
            self.make_room(len(clips))
            fresh = path.with_suffix(".new")
            fresh.write_text(wanted, encoding="utf-8")
            fresh.replace(path)
        self.wait()

    def note(
        self, clips: list[Sample], model: str, words: tuple[tuple[str, int, int], ...]
    ) -> Encoded:
        keys = tuple(f"{clip.shard.name}/{clip.key}" for clip in clips)
        prompts = tuple(clip.prompt for clip in clips)
        size = self.config.height, self.config.width
        return Encoded(model, *size, self.how, keys, prompts, words)

    def make_room(self, clips: int) -> None:
        """Empty arrays for so many clips."""
        cell = self.config.vae.channels, *self.config.cells
        heard = self.encoders.sound(torch.zeros(AUDIO_RATE), 1).shape[1:]
        n = self.how.latents - 1
        shapes = ((self.how.references, *cell), (n, *cell), (n, *heard))
        for name, shape in zip(ARRAYS, shapes, strict=True):
            path = self.folder / f"{name}.npy"
            np.lib.format.open_memmap(path, "w+", np.float16, (clips, *shape)).flush()

    def done(self) -> set[int]:
        """Clips that any process has encoded; a line that was cut off does not count."""
        found: set[int] = set()
        for path in self.folder.glob("done-*"):
            whole = path.read_text().rpartition("\n")[0]
            found |= {int(line) for line in whole.splitlines() if line}
        return found

    @torch.inference_mode()
    def clip(self, arrays: dict[str, np.memmap], index: int, sample: Sample) -> None:
        """One clip into its rows."""
        pictures, sound = read(sample, frames_of(self.how.latents))
        fitted = fit(pictures, self.config.height, self.config.width)
        film = self.encoders.film(fitted)
        rng = np.random.default_rng([self.seed, index])
        others = rng.integers(1, len(fitted), size=self.how.references - 1)
        stills = [film[:1], self.encoders.still(fitted[others])] if len(others) else [film[:1]]
        tokens = torch.zeros(arrays["tokens"].shape[1:])
        if sound is not None:
            tokens = self.encoders.sound(sound, self.how.latents)[1:]
        found = {"pivotal": torch.cat(stills), "latents": film[1:], "tokens": tokens}
        for name, value in found.items():
            arrays[name][index] = half(value, name, sample)
            arrays[name].flush()

    @torch.inference_mode()
    def say(self, clips: list[Sample]) -> dict[str, int]:
        """Encode every prompt once, the empty one too; each prompt's number of rows, in order."""
        journal, rows = self.folder / SAID, self.folder / WORDS
        said: dict[str, int] = {}
        if journal.exists():
            whole = journal.read_text(encoding="utf-8").rpartition("\n")[0]
            said = dict(json.loads(line) for line in whole.splitlines() if line)
        rows.touch()
        with journal.open("r+" if journal.exists() else "w", encoding="utf-8") as notes:
            notes.seek(0)
            notes.truncate()
            notes.writelines(json.dumps([prompt, count]) + "\n" for prompt, count in said.items())
            with rows.open("r+b") as file:
                file.truncate(2 * sum(said.values()) * self.config.dit.text_dim)
                file.seek(0, io.SEEK_END)
                for prompt in dict.fromkeys(("", *(clip.prompt for clip in clips))):
                    if prompt in said:
                        continue
                    found = half(self.encoders.words(prompt), f"prompt {prompt!r}", None)
                    file.write(found.tobytes())
                    file.flush()
                    said[prompt] = len(found)
                    notes.write(json.dumps([prompt, len(found)]) + "\n")
                    notes.flush()
        return said

    def finish(self, clips: list[Sample], model: str, words: dict[str, int]) -> None:
        """The note comes last: a folder that has one is whole."""
        place, told = 0, []
        for prompt, rows in words.items():
            told.append((prompt, place, rows))
            place += rows
        fresh = (self.folder / NOTE).with_suffix(".new")
        fresh.write_text(self.note(clips, model, tuple(told)).to_json(), encoding="utf-8")
        fresh.replace(self.folder / NOTE)


def half(value: Tensor, what: str, sample: Sample | None) -> NDArray[np.float16]:
    """In half precision; TuneError if a number is none, or too large for it."""
    found: NDArray[np.float16] = value.float().cpu().half().numpy()
    if not np.isfinite(found).all():
        where = "" if sample is None else f" of clip {sample.key} in {sample.shard}"
        raise TuneError(f"{what}{where} was encoded to numbers that are none, or above 65504")
    return found


def read(sample: Sample, frames: int) -> tuple[NDArray[np.uint8], Tensor | None]:
    """Pictures [frames, H, W, 3] and their sound, if there is any; TuneError if one is broken."""
    with tarfile.open(sample.shard) as tar:
        film, sound = (contents(tar, f"{sample.key}.{kind}") for kind in ("mp4", "wav"))
    try:
        with av.open(io.BytesIO(film or b""), "r") as container:
            shown = islice(container.decode(video=0), frames)
            pictures = np.stack([rgb(frame) for frame in shown])
        heard = None if sound is None else heard_in(sound)
    except (av.FFmpegError, ValueError, IndexError, EOFError, wave.Error) as error:
        raise TuneError(f"clip {sample.key} of {sample.shard} cannot be read: {error}") from None
    if len(pictures) < frames:
        raise TuneError(
            f"clip {sample.key} of {sample.shard} has {len(pictures)} pictures, and tells of "
            f"{sample.frames}"
        )
    return pictures, heard


def rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """[H, W, 3]."""
    return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def heard_in(sound: bytes) -> Tensor:
    """A 16 kHz mono .wav [samples] in [-1, 1); ValueError if it is another."""
    with wave.open(io.BytesIO(sound)) as file:
        kind = file.getframerate(), file.getnchannels(), file.getsampwidth()
        if kind != (AUDIO_RATE, 1, 2):
            raise ValueError(f"its sound is {kind}, expected {(AUDIO_RATE, 1, 2)}")
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return torch.from_numpy(samples.astype(np.float32) / 32768)


def fit(pictures: NDArray[np.uint8], height: int, width: int) -> Tensor:
    """[n, H, W, 3] → the middle [n, 3, height, width] in [-1, 1], scaled down to fill that."""
    found = from_bytes(pictures)
    scale = max(height / found.shape[-2], width / found.shape[-1])
    size = [max(least, round(side * scale)) for side, least in
            zip(found.shape[-2:], (height, width), strict=True)]  # fmt: skip
    if size != list(found.shape[-2:]):
        found = F.interpolate(found, size, mode="bicubic", antialias=True).clamp(-1, 1)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return found[..., top : top + height, left : left + width]

"""A tiny model of the 5B's form in this project's layout, encoded clips for it, and processes."""

import gc
import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soul.checkpoints.layout import finish, open_part, whole, write_part
from soul.checkpoints.manifest import Manifest, Origin, described
from soul.checkpoints.sources import Tensors, held
from soul.model.config import AudioConfig, DiTConfig, SoulConfig, TextConfig, VaeConfig, to_dict
from soul.model.dit import DiT
from soul.model.load import CONFIG
from soul.training.diffusion import TeacherConfig
from soul.training.matching import MatchConfig
from soul.training.progress import Length
from soul.training.student import StudentConfig
from soul.training.tune.clips import NOTE, WORDS, Encoded
from soul.training.tune.crew import joined
from soul.training.tune.memory import lay_out
from soul.training.tune.run import ENCODED, Place, begin, run
from soul.training.tune.settings import EncodeConfig, Tuning

TINY = SoulConfig(
    name="tiny",
    image_size=(64, 96),
    dit=DiTConfig(
        dim=48, ffn_dim=64, layers=2, heads=2, text_len=6, text_dim=16, audio_dim=16, freq_dim=8
    ),
    audio=AudioConfig(past_mels=20, future_mels=4, width=16, out_dim=16),
    text=TextConfig(vocabulary=64, length=6, dim=16),
    vae=VaeConfig(
        encoder_width=8, decoder_trunk=16, decoder_width=8, light_trunk=16, light_width=8
    ),
    window=3,
    sink_distance=4,
    steps=5,  # guided, by a solver of its own: as Wan is sampled
    solver="unipc",
    guidance=3.0,
    centroids=16,
)
CLIPS, LATENTS, REFERENCES = 3, 7, 2
SHORT = Length(8)
TUNING = Tuning(
    height=64,
    width=96,
    encode=EncodeConfig(latents=LATENTS, references=REFERENCES),
    teacher=TeacherConfig(length=SHORT, batch=4, chunks=2, warm_start=0.0, save_every=4, peak=1e-3),
    student=StudentConfig(length=Length(4), batch=4, chunks=2, save_every=4, peak=1e-3),
    match=MatchConfig(length=Length(4), batch=4, chunks=2, save_every=4, peak=1e-3),
    precision="fp32",
)


def dit_tensors(hears: bool = True) -> Tensors:
    """A transformer's, random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dit = DiT(TINY.dit)
    found = {name: held(value.detach()) for name, value in dit.state_dict().items()}
    return {name: entry for name, entry in found.items() if hears or "audio" not in name}


def made_model(folder: Path, hears: bool = True) -> Path:
    """A folder whose only part is a transformer with random weights."""
    tensors = dit_tensors(hears)
    with whole(folder) as work:
        files = write_part(work, "dit", tensors)
        (work / CONFIG).write_text(json.dumps(to_dict(TINY)))
        parts = {"dit": tuple(file.path for file in files)}
        manifest = Manifest("tiny", (Origin("made"),), (described(work, CONFIG), *files), parts)
        finish(work, manifest)
    return folder


def made_clips(folder: Path) -> Path:
    """Noise as encoded clips."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    cell = (48, *TINY.cells)
    shapes = {
        "pivotal": (CLIPS, REFERENCES, *cell),
        "latents": (CLIPS, LATENTS - 1, *cell),
        "tokens": (CLIPS, LATENTS - 1, 8, 16),
    }
    for name, shape in shapes.items():
        np.save(folder / f"{name}.npy", rng.standard_normal(shape).astype(np.float16))
    rows = rng.standard_normal((9, 16)).astype(np.float16)
    (folder / WORDS).write_bytes(rows.tobytes())
    words = (("", 0, 1), ("a happy man", 1, 3), ("a woman who sings", 4, 5))
    prompts = ("a happy man", "a woman who sings", "a happy man")
    keys = ("a", "b", "c")
    note = Encoded("tiny", 64, 96, TUNING.encode, keys, prompts, words)
    (folder / NOTE).write_text(note.to_json())
    return folder


def made_run(folder: Path, model: Path) -> Place:
    """A run whose clips are encoded."""
    made_clips(folder / ENCODED)
    return Place(folder, model)


def weights(folder: Path) -> dict[str, Tensor]:
    """A folder's transformer."""
    return {name: entry.read() for name, entry in open_part(folder, "dit").items()}


def left(place: Place, stage: str = "teacher") -> dict[str, Tensor]:
    """What a stage has left."""
    return weights(place.out / stage / "model")


def furthest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of two transformers' weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def tuned(place: Place, tuning: Tuning, stages: tuple[str, ...], processes: int) -> list[int]:
    """Run stages by so many processes, as a launcher would; how each of them ended."""

    def one() -> None:
        with joined("cpu") as group:
            if group.first:
                begin(place, tuning)
            run(place, tuning, stages, group)

    return forked(one, processes)


def forked(work: Callable[[], None], processes: int) -> list[int]:
    """`work` in so many processes of one group; their exit codes. A fork imports nothing anew."""
    lay_out(TINY, TUNING)  # what libraries import late is imported once, before the fork
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    def member(rank: int) -> None:
        told = {"RANK": rank, "WORLD_SIZE": processes, "LOCAL_RANK": rank, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in told.items()})
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        torch.set_num_threads(1)
        work()

    context = multiprocessing.get_context("fork")
    members = [context.Process(target=member, args=(rank,)) for rank in range(processes)]
    gc.freeze()  # a collection in a child would copy all that it was forked with
    for process in members:
        process.start()
    for process in members:
        process.join()
    gc.unfreeze()
    return [process.exitcode or 0 for process in members]

"""`soul train`: every stage from nothing to weights that serve, in order, each one resumable.

bank → listener → autoencoder → encode → codebook → teacher → student → recode → light → export →
probe → evaluate. A stage that has left its `done` file is not run again. Everything follows from
the recipe and its seed.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from soul.model.config import SOUL_MINI, SoulConfig
from soul.model.load import load, save
from soul.model.sample import Soul, build, cut
from soul.model.vae import Encoder, from_bytes
from soul.timebase import FRAMES_PER_LATENT
from soul.training.autoencoder import (
    PaintConfig,
    Painter,
    new_autoencoder,
    new_light,
    train_painter,
)
from soul.training.centroids import build_codebook, load_codebook, save_codebook
from soul.training.dataset import Bank, BankConfig, make_bank, open_bank
from soul.training.diffusion import (
    Latents,
    StudentConfig,
    TeacherConfig,
    learned,
    recode,
    train_student,
    train_teacher,
)
from soul.training.evaluate import TrialConfig, evaluate
from soul.training.life import lids_of
from soul.training.listener import Listener, ListenerConfig, train_listener
from soul.training.probe import load_probe, train_probe
from soul.training.progress import Length

log = logging.getLogger("soul.training")

PROBE = "probe.safetensors"
STAGES = (
    "bank", "listener", "autoencoder", "encode", "codebook", "teacher", "student", "recode",
    "light", "export", "probe", "evaluate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a run depends on."""

    model: SoulConfig = SOUL_MINI
    bank: BankConfig = BankConfig()
    listener: ListenerConfig = ListenerConfig()
    autoencoder: PaintConfig = PaintConfig(length=Length(10_800), tell_first=0.08)
    light: PaintConfig = PaintConfig(length=Length(6450), noise=0.6)
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    quantile: float = 0.995  # of nearest-centroid distances: τ
    probe_steps: int = 1500
    trials: TrialConfig = TrialConfig()
    seed: int = 0
    processes: int = 2
    threads: int = 2

    def __post_init__(self) -> None:
        if self.bank.size != self.model.image_size:
            raise ValueError(
                f"bank.size {self.bank.size} differs from model.image_size "
                f"{self.model.image_size}: the bank must hold pictures of the model's size"
            )


def small(recipe: Recipe) -> Recipe:
    """The same stages at a size that finishes in about a minute: proves the path, not the model."""
    short = Length(3)
    return replace(
        recipe,
        model=replace(recipe.model, centroids=min(64, recipe.model.centroids)),
        bank=replace(recipe.bank, clips=4, frames=32),
        listener=replace(recipe.listener, takes=2, seconds=4.0, length=short, batch=2),
        autoencoder=replace(recipe.autoencoder, length=short, batch=1),
        light=replace(recipe.light, length=short, batch=1),
        teacher=replace(recipe.teacher, length=short, batch=1, chunks=2),
        student=replace(recipe.student, length=short, batch=1, chunks=2, teacher_steps=2),
        probe_steps=5,
        trials=replace(recipe.trials, trials=1, chunks=12),
    )


def limited(recipe: Recipe, minutes: float) -> Recipe:
    """`recipe` with every training stage ended after `minutes`, learning rates scaled to it."""

    def end(length: Length) -> Length:
        return replace(length, minutes=minutes)

    return replace(
        recipe,
        listener=replace(recipe.listener, length=end(recipe.listener.length)),
        autoencoder=replace(recipe.autoencoder, length=end(recipe.autoencoder.length)),
        light=replace(recipe.light, length=end(recipe.light.length)),
        teacher=replace(recipe.teacher, length=end(recipe.teacher.length)),
        student=replace(recipe.student, length=end(recipe.student.length)),
    )


class Run:
    """One run in one folder; each stage reads what the ones before it left there."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self.stages: dict[str, Callable[[], None]] = {
            "bank": self.draw_bank,
            "listener": self.train_listener,
            "autoencoder": self.train_autoencoder,
            "encode": self.encode,
            "codebook": self.make_codebook,
            "teacher": self.train_teacher,
            "student": self.train_student,
            "recode": self.recode,
            "light": self.train_light,
            "export": self.export,
            "probe": self.train_probe,
            "evaluate": self.evaluate,
        }

    def draw_bank(self) -> None:
        make_bank(self.folder / "bank", self.recipe.bank, self.recipe.processes)

    def train_listener(self) -> None:
        r = self.recipe
        train_listener(r.model, r.listener, self.folder / "listener", r.seed, r.processes)

    def train_autoencoder(self) -> None:
        painter = new_autoencoder(self.recipe.model.vae, self.recipe.seed)
        self._paint(painter, self.recipe.autoencoder, "autoencoder")

    def train_light(self) -> None:
        painter = new_light(self.recipe.model.vae, self.encoder(), self.recipe.seed + 1)
        said = np.load(self.folder / "latents" / "said.npy", mmap_mode="r")
        self._paint(painter, self.recipe.light, "light", said)

    def _paint(
        self,
        painter: Painter,
        config: PaintConfig,
        stage: str,
        recoded: NDArray[np.float16] | None = None,
    ) -> None:
        bank, folder, seed = open_bank(self.folder / "bank"), self.folder / stage, self.recipe.seed
        train_painter(painter, bank, config, folder, stage, seed, recoded)

    def recode(self) -> None:
        """The bank's latents as the student says them: what the light decoder learns to paint."""
        student, data = self.diffusion_model("student"), self.latents()
        path = self.folder / "latents" / "said.npy"
        said = np.lib.format.open_memmap(path, "w+", "float16", data.latents.shape)
        recode(student, data, said, self.recipe.seed, self.recipe.teacher.batch)

    def encoder(self) -> Encoder:
        painter = new_autoencoder(self.recipe.model.vae, self.recipe.seed)
        painter.load_state_dict(self._weights("autoencoder"))
        return painter.encoder.eval()

    def listener(self) -> Listener:
        listener = Listener(self.recipe.model)
        listener.load_state_dict(self._weights("listener"))
        return listener.eval()

    def _weights(self, stage: str) -> dict[str, torch.Tensor]:
        values = torch.load(self.folder / stage / "state.pt", weights_only=True)
        weights: dict[str, torch.Tensor] = values["module"]
        return weights

    @torch.inference_mode()
    def encode(self) -> None:
        """The bank as latents and audio tokens, beside it."""
        bank, encoder, listener = open_bank(self.folder / "bank"), self.encoder(), self.listener()
        arrays = encoded_arrays(self.folder / "latents", bank, self.recipe.model)
        for clip in range(bank.config.clips):
            portrait = from_bytes(bank.portraits[clip : clip + 1])
            groups = from_bytes(bank.frames[clip]).unflatten(0, (-1, FRAMES_PER_LATENT))
            with torch.autocast("cpu", torch.bfloat16):
                arrays["pivotal"][clip] = encoder.still(portrait)[0].float().numpy()
                found = [encoder(part) for part in groups.split(4)]
            arrays["latents"][clip] = torch.cat(found).float().numpy()
            sound = torch.from_numpy(bank.pcm[clip].astype(np.float32))
            heard = cut(self.recipe.model, sound)
            arrays["tokens"][clip] = listener.audio(heard).numpy()
            if clip % 50 == 0:
                log.info("encode  clip %d of %d", clip, bank.config.clips)

    def latents(self) -> Latents:
        bank = open_bank(self.folder / "bank")
        folder = self.folder / "latents"
        boxes = bank.boxes.reshape(bank.config.clips, bank.config.latents, FRAMES_PER_LATENT, 3, 4)
        lids = np.stack([lids_of(motion) for motion in bank.motion])
        low, high = boxes[..., :2].min(2), boxes[..., 2:].max(2)
        return Latents(
            np.load(folder / "pivotal.npy"),
            np.load(folder / "latents.npy", mmap_mode="r"),
            np.load(folder / "tokens.npy", mmap_mode="r"),
            lids.reshape(bank.config.clips, bank.config.latents, FRAMES_PER_LATENT),
            (np.concatenate((low, high), -1) / self.recipe.model.vae.spatial).astype(np.float32),
            np.asarray(bank.silent.reshape(len(lids), -1, FRAMES_PER_LATENT).all(-1)),
            bank.prompts,
        )

    def make_codebook(self) -> None:
        latents = self.latents().latents
        codebook = build_codebook(
            latents.reshape(-1, *latents.shape[2:]),
            self.recipe.model.centroids, self.recipe.quantile, self.recipe.seed,
        )  # fmt: skip
        save_codebook(codebook, self.folder / "codebook" / "codebook.pt")

    def train_teacher(self) -> None:
        model = self._assembled()
        train_teacher(
            model, self.latents(), self.recipe.teacher, self.folder / "teacher", self.recipe.seed
        )

    def _assembled(self) -> Soul:
        """A model with everything trained so far except DiT and words, which are fresh."""
        model = build(self.recipe.model, self.recipe.seed)
        model.encoder = self.encoder()
        model.audio = self.listener().audio
        model.codebook = load_codebook(self.folder / "codebook" / "codebook.pt")
        return model.train()

    def diffusion_model(self, stage: str) -> Soul:
        """The model as `stage` (teacher or student) left it, with the light decoder if trained."""
        model = self._assembled()
        learned(model).load_state_dict(self._weights(stage))
        if (self.folder / "light" / "state.pt").exists():
            painter = new_light(self.recipe.model.vae, self.encoder(), self.recipe.seed + 1)
            painter.load_state_dict(self._weights("light"))
            model.decoder = painter.decoder
        return model.eval()

    def train_student(self) -> None:
        teacher = self.diffusion_model("teacher")
        train_student(
            teacher, self.latents(), self.recipe.student, self.folder / "student", self.recipe.seed
        )

    def export(self) -> None:
        """`model/`: what `soul serve --model FOLDER` loads."""
        save(self.diffusion_model("student"), self.folder / "model")

    def train_probe(self) -> None:
        """The eye that reads mouths from pictures; it judges, and never trains anything else."""
        train_probe(self.recipe.seed, self.recipe.probe_steps).save(self.folder / PROBE)

    def evaluate(self) -> None:
        """`report.json` and `trials.png`: the exported model on what it never saw."""
        model, probe = load(str(self.folder / "model")), load_probe(self.folder / PROBE)
        figures = evaluate(model, probe, self.recipe.trials, self.folder)
        log.info("evaluate  %s", json.dumps(figures))


def encoded_arrays(folder: Path, bank: Bank, model: SoulConfig) -> dict[str, np.memmap]:
    """Fresh arrays for a bank's latents, pivotal latents and audio tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    n, t = bank.config.clips, bank.config.latents
    cell = (model.vae.channels, model.grid, model.grid)
    tokens = (n, t, model.audio.tokens, model.audio.out_dim)
    wanted = {"pivotal": (n, *cell), "latents": (n, t, *cell), "tokens": tokens}
    return {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", "float16", shape)
        for name, shape in wanted.items()
    }


class MissingStage(Exception):
    """A stage was asked for before one that it needs: one sentence."""


def run(folder: Path, recipe: Recipe, stages: tuple[str, ...] = STAGES) -> None:
    """Run `stages` in the recipe's order.

    ValueError names a stage that is not known, MissingStage one that was asked for too early.
    """
    if unknown := [s for s in stages if s not in STAGES]:
        raise ValueError(f"unknown stage {unknown[0]!r}; expected some of {', '.join(STAGES)}")
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "recipe.json"
    note.write_text(json.dumps(asdict(recipe), indent=2, default=str) + "\n")
    torch.set_num_threads(recipe.threads)
    this = Run(folder, recipe)
    for stage in (s for s in STAGES if s in stages):
        done = folder / f"{stage}.done"
        if done.exists():
            log.info("%s  already done", stage)
            continue
        log.info("%s  starts", stage)
        try:
            this.stages[stage]()
        except FileNotFoundError as error:
            raise MissingStage(
                f"stage {stage} needs {error.filename}, which an earlier stage leaves; "
                f"expected the stages before it ({', '.join(STAGES[: STAGES.index(stage)])}) done"
            ) from error
        done.write_text("")

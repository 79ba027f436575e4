"""`soul train`: every stage from nothing to weights that serve, in order.

bank → listener → reader → autoencoder → encode → codebook → teacher → student → match → recode →
light → full → export → probe → identity → evaluate. A stage that has left its `done` file is not
run again. The long ones (bank and whatever has a checkpoint) go on where they were stopped; encode,
codebook, recode, export, probe, identity and evaluate start over, a few minutes each. Everything
follows from the recipe and its seed.

A recipe with an `origin` begins with the weights of another model instead of random ones: all
of it learns on, and its latents stay what they are wherever they need not become better.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from soul.model.config import SOUL_MINI, SOUL_MINI_512, SoulConfig
from soul.model.cues import CUES
from soul.model.load import WeightsError, load, save
from soul.model.sample import Soul, build, cut
from soul.model.vae import Encoder, from_bytes
from soul.timebase import FRAMES_PER_LATENT, exact_div
from soul.training.autoencoder import (
    PaintConfig,
    Painter,
    new_autoencoder,
    new_full,
    train_painter,
    with_brows,
)
from soul.training.baseline import save_baseline
from soul.training.calibrate import calibrated
from soul.training.centroids import build_codebook, load_codebook, save_codebook
from soul.training.dataset import (
    MICROPHONES,
    REFERENCES,
    Bank,
    BankConfig,
    fresh_array,
    make_bank,
    open_bank,
    references,
    settle,
)
from soul.training.diffusion import (
    Latents,
    Show,
    TeacherConfig,
    learned,
    train_teacher,
)
from soul.training.evaluate import TrialConfig, evaluate
from soul.training.identity import IdentityRecipe, train_identity, verify
from soul.training.life import cues_of
from soul.training.listener import Listener, ListenerConfig, train_listener
from soul.training.matching import MatchConfig, train_matched
from soul.training.notes import note
from soul.training.probe import held_out_correlations, load_probe, train_probe
from soul.training.progress import Length
from soul.training.reading import ReaderConfig, train_reader
from soul.training.samples import Sampling, show_rollouts
from soul.training.student import StudentConfig, recode, train_student

log = logging.getLogger("soul.training")

PROBE = "probe.safetensors"
BASELINE = "baseline.safetensors"
SAID = "latents/said.npy"  # the bank's latents as the student says them
IDENTITY = "identity.safetensors"
STAGES = (
    "bank", "listener", "reader", "autoencoder", "encode", "codebook", "teacher", "student",
    "match", "recode", "light", "full", "export", "probe", "identity", "evaluate",
)  # fmt: skip


TRAINED = {model.name: model for model in (SOUL_MINI, SOUL_MINI_512)}
NOTE = "recipe.json"
VOICED = ("bank", "listener", "probe", "evaluate")  # they draw takes, and takes are spoken
FREE = (  # may change within a run; nothing but its own stage knows of `identity`
    "length", "save_every", "threads", "processes", "device", "identity",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a run depends on."""

    model: SoulConfig = SOUL_MINI
    bank: BankConfig = BankConfig()
    listener: ListenerConfig = ListenerConfig()
    reader: ReaderConfig = ReaderConfig()
    autoencoder: PaintConfig = PaintConfig(length=Length(8000), tell_first=0.125)
    light: PaintConfig = PaintConfig(length=Length(6000), peak=4e-4, noise=0.4)
    full: PaintConfig = PaintConfig(length=Length(5000))
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    match: MatchConfig = MatchConfig()
    quantile: float = 0.995  # of nearest-centroid distances: τ
    probe_steps: int = 1500
    identity: IdentityRecipe = IdentityRecipe()
    trials: TrialConfig = TrialConfig()
    origin: str = ""  # a model's name or folder that the run begins with; none: from nothing
    seed: int = 0
    processes: int = 2
    threads: int = 2
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.bank.size != self.model.side:
            raise ValueError(
                f"bank.size {self.bank.size} differs from model.image_size "
                f"{self.model.side}: the bank must hold pictures of the model's size"
            )


def recipe_of(model: SoulConfig) -> Recipe:
    """The recipe for `model`: soul-mini's, with crops and clips as much larger as its pictures.

    Crops then hold as much of a face as soul-mini's do. At 512² a bank takes 36 GB on disk, and the
    32 pixels that a decoder can warp by are more than a face moves (22, in a dozen people's takes).
    """
    usual = Recipe()
    times = exact_div(model.side, SOUL_MINI.side)
    return replace(
        usual,
        model=model,
        bank=replace(usual.bank, size=model.side),
        autoencoder=replace(usual.autoencoder, crop=times * usual.autoencoder.crop),
        light=replace(usual.light, crop=times * usual.light.crop),
        full=replace(usual.full, crop=times * usual.full.crop),
    )


def small(recipe: Recipe) -> Recipe:
    """The same stages at a size that finishes in about a minute: proves the path, not the model."""
    short = Length(3)
    return replace(
        recipe,
        model=replace(recipe.model, centroids=min(64, recipe.model.centroids)),
        bank=replace(recipe.bank, clips=4, frames=32),
        listener=replace(recipe.listener, takes=2, seconds=4.0, length=short, batch=2),
        reader=replace(recipe.reader, length=short, batch=2),
        autoencoder=replace(recipe.autoencoder, length=short, batch=1),
        light=replace(recipe.light, length=short, batch=1),
        full=replace(recipe.full, length=short, batch=1),
        teacher=replace(recipe.teacher, length=short, batch=1, chunks=2),
        student=replace(recipe.student, length=short, batch=1, chunks=2),
        match=replace(recipe.match, length=short, batch=1, chunks=2),
        probe_steps=5,
        identity=replace(recipe.identity, people=4, held_out=3, steps=5, batch=4),
        trials=replace(recipe.trials, trials=1, chunks=12),
    )


def continued(recipe: Recipe, origin: str) -> Recipe:
    """`recipe` that begins with the model `origin`: shorter, and nothing is to be unlearned."""
    return replace(
        recipe,
        origin=origin,
        listener=replace(recipe.listener, length=Length(1600), peak=8e-4),
        autoencoder=replace(
            recipe.autoencoder, length=Length(5600), peak=5e-4, noise=0.4, tell_first=0.18
        ),
        light=replace(recipe.light, length=Length(3000), peak=3e-4),
        match=replace(recipe.match, length=Length(120)),
        teacher=replace(recipe.teacher, length=Length(3200), peak=6e-4, warm_start=0.0),
        student=replace(recipe.student, length=Length(500)),
    )


def limited(recipe: Recipe, minutes: float) -> Recipe:
    """`recipe` with every training stage ended after `minutes`, learning rates scaled to it."""

    def end(length: Length) -> Length:
        return replace(length, minutes=minutes)

    return replace(
        recipe,
        listener=replace(recipe.listener, length=end(recipe.listener.length)),
        reader=replace(recipe.reader, length=end(recipe.reader.length)),
        autoencoder=replace(recipe.autoencoder, length=end(recipe.autoencoder.length)),
        light=replace(recipe.light, length=end(recipe.light.length)),
        full=replace(recipe.full, length=end(recipe.full.length)),
        teacher=replace(recipe.teacher, length=end(recipe.teacher.length)),
        student=replace(recipe.student, length=end(recipe.student.length)),
        match=replace(recipe.match, length=end(recipe.match.length)),
    )


class Run:
    """One run in one folder; each stage reads what the ones before it left there."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self.origin = origin_of(recipe)
        self.stages: dict[str, Callable[[], None]] = {
            "bank": self.draw_bank,
            "listener": self.train_listener,
            "reader": self.train_reader,
            "autoencoder": self.train_autoencoder,
            "encode": self.encode,
            "codebook": self.make_codebook,
            "teacher": self.train_teacher,
            "student": self.train_student,
            "match": self.match,
            "recode": self.recode,
            "light": self.train_light,
            "full": self.train_full,
            "export": self.export,
            "probe": self.train_probe,
            "identity": self.train_identity,
            "evaluate": self.evaluate,
        }

    def draw_bank(self) -> None:
        make_bank(self.folder / "bank", self.recipe.bank, self.recipe.processes)

    def train_listener(self) -> None:
        r = self.recipe
        folder = self.folder / "listener"
        origin = None if self.origin is None else self.origin.audio
        train_listener(r.model, r.listener, folder, r.seed, r.processes, r.device, origin)

    def train_reader(self) -> None:
        r = self.recipe
        train_reader(r.model.text, r.reader, self.folder / "reader", r.seed)

    def train_autoencoder(self) -> None:
        """Encoder and light decoder; those of the origin, if there is one, learn on."""
        painter = new_autoencoder(self.recipe.model.vae, self.recipe.seed)
        if self.origin is not None:
            painter.go_on(self.origin.encoder, self.origin.decoder)
        self._paint(painter, self.recipe.autoencoder, "autoencoder")

    def train_light(self) -> None:
        """The autoencoder's decoder goes on, now with what the student says among its latents."""
        painter = self.painter()
        painter.freeze_encoder()
        said = np.load(self.folder / SAID, mmap_mode="r")
        self._paint(painter, self.recipe.light, "light", said)

    def train_full(self) -> None:
        self._paint(self._new_full(), self.recipe.full, "full")

    def _paint(
        self,
        painter: Painter,
        config: PaintConfig,
        stage: str,
        recoded: NDArray[np.float16] | None = None,
    ) -> None:
        bank, folder, seed = open_bank(self.folder / "bank"), self.folder / stage, self.recipe.seed
        painter.to(self.recipe.device)
        train_painter(painter, bank, config, folder, stage, seed, recoded)

    def recode(self) -> None:
        """The bank's latents as the student says them: what the light decoder learns to paint."""
        student, data = self.diffusion_model("match"), self.latents()
        path = self.folder / SAID
        said = fresh_array(path, data.latents.shape)
        recode(student, data, said, self.recipe.seed, self.recipe.teacher.batch)
        settle(path)

    def painter(self, stage: str = "autoencoder") -> Painter:
        """The encoder and the light decoder, as stage `autoencoder` or `light` left them."""
        return self._as_left(new_autoencoder(self.recipe.model.vae, self.recipe.seed), stage)

    def full_painter(self) -> Painter:
        """The encoder and the full decoder, as its stage left it."""
        return self._as_left(self._new_full(), "full")

    def _new_full(self) -> Painter:
        return new_full(self.recipe.model.vae, self.encoder(), self.recipe.seed + 2)

    def _as_left(self, painter: Painter, stage: str) -> Painter:
        painter.load_state_dict(self._weights(stage))
        return painter.to(self.recipe.device).eval()

    def encoder(self) -> Encoder:
        return self.painter().encoder

    def listener(self) -> Listener:
        listener = Listener(self.recipe.model)
        listener.load_state_dict(self._weights("listener"))
        return listener.to(self.recipe.device).eval()

    def _weights(self, stage: str) -> dict[str, torch.Tensor]:
        path = self.folder / stage / "state.pt"
        values = torch.load(path, map_location="cpu", weights_only=True)
        weights: dict[str, torch.Tensor] = values["module"]
        return weights

    @torch.inference_mode()
    def encode(self) -> None:
        """The bank as latents and audio tokens, beside it."""
        bank, encoder, listener = open_bank(self.folder / "bank"), self.encoder(), self.listener()
        folder, device = self.folder / "latents", torch.device(self.recipe.device)
        arrays = encoded_arrays(folder, bank, self.recipe.model)
        for clip in range(bank.config.clips):
            stills = from_bytes(references(bank, clip)).to(device)
            groups = from_bytes(bank.frames[clip]).unflatten(0, (-1, FRAMES_PER_LATENT))
            with torch.autocast(device.type, torch.bfloat16):
                arrays["pivotal"][clip] = encoder.still(stills).float().cpu().numpy()
                found = [encoder(part.to(device)) for part in groups.split(4)]
            arrays["latents"][clip] = torch.cat(found).float().cpu().numpy()
            for microphone, sound in enumerate(bank.pcm[clip].astype(np.float32)):
                heard = cut(self.recipe.model, torch.from_numpy(sound)).to(device)
                arrays["tokens"][clip, microphone] = listener.audio(heard).cpu().numpy()
            if clip % 50 == 0:
                log.info("encode  clip %d of %d", clip, bank.config.clips)
        for name in arrays:
            settle(folder / f"{name}.npy")

    def latents(self) -> Latents:
        bank = open_bank(self.folder / "bank")
        folder = self.folder / "latents"
        boxes = with_brows(bank.boxes, bank.config.size)
        boxes = boxes.reshape(bank.config.clips, bank.config.latents, FRAMES_PER_LATENT, 3, 4)
        told = np.stack([cues_of(*clip) for clip in zip(bank.motion, bank.listening, strict=True)])
        low, high = boxes[..., :2].min(2), boxes[..., 2:].max(2)
        return Latents(
            np.load(folder / "pivotal.npy"),
            np.load(folder / "latents.npy", mmap_mode="r"),
            np.load(folder / "tokens.npy", mmap_mode="r"),
            told.reshape(bank.config.clips, bank.config.latents, FRAMES_PER_LATENT, CUES),
            (np.concatenate((low, high), -1) / self.recipe.model.vae.spatial).astype(np.float32),
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
        r, data = self.recipe, self.latents()
        show = self._show(data, r.student.teacher_steps, r.student.guidance)
        train_teacher(self._assembled(), data, r.teacher, self.folder / "teacher", r.seed, show)

    def _show(self, data: Latents, steps: int, guidance: float) -> Show:
        """Writes rollouts of a model on clips of the bank, painted by the autoencoder's decoder."""
        bank, decoder = open_bank(self.folder / "bank"), self.painter().decoder
        sampling = Sampling(steps, guidance)

        def show(model: Soul, path: Path) -> None:
            show_rollouts(model, decoder, bank, data, sampling, path)

        return show

    def _assembled(self) -> Soul:
        """A model with everything trained so far; DiT and words are fresh, or the origin's."""
        model = build(self.recipe.model, self.recipe.seed)
        if self.origin is not None:
            learned(model).load_state_dict(learned(self.origin).state_dict())
        if model.reader is not None:
            model.reader.load_state_dict(self._weights("reader"))
        model.encoder = self.encoder()
        model.audio = self.listener().audio
        model.codebook = load_codebook(self.folder / "codebook" / "codebook.pt")
        return model.to(self.recipe.device).train()

    def diffusion_model(self, stage: str) -> Soul:
        """The model as teacher, student or match left it; its decoder as far as it has come."""
        model = self._assembled()
        weights = self._weights(stage)
        if stage == "match":  # its file holds the follower, too
            own = "student."
            weights = {k.removeprefix(own): v for k, v in weights.items() if k.startswith(own)}
        learned(model).load_state_dict(weights)
        light = (self.folder / "light" / "state.pt").exists()
        model.decoder = self.painter("light" if light else "autoencoder").decoder
        return model.eval()

    def train_student(self) -> None:
        r, data = self.recipe, self.latents()
        teacher, folder = self.diffusion_model("teacher"), self.folder / "student"
        train_student(teacher, data, r.student, folder, r.seed, self._show(data, r.model.steps, 1))

    def match(self) -> None:
        r, data, folder = self.recipe, self.latents(), self.folder / "match"
        student, teacher = (self.diffusion_model(stage) for stage in ("student", "teacher"))
        show = self._show(data, r.model.steps, 1)
        train_matched(student.train(), teacher, data, r.match, folder, r.seed, show)

    def export(self) -> None:
        """`model/`: what `soul serve --model FOLDER` loads; and what it is measured against."""
        model, bank = self.diffusion_model("match"), open_bank(self.folder / "bank")
        save(calibrated(model, bank.portraits, self.latents()), self.folder / "model")
        save_baseline(
            self.diffusion_model("teacher"), self.full_painter().decoder, self.folder / BASELINE
        )

    def train_probe(self) -> None:
        """The eye that reads mouths from pictures; it judges, and never trains anything else."""
        r = self.recipe
        probe = train_probe(r.seed, r.probe_steps, device=r.device)
        log.info(
            "probe  held-out correlation  %s", in_one_line(held_out_correlations(probe, r.seed))
        )
        probe.save(self.folder / PROBE)

    def train_identity(self) -> None:
        """The eye that tells people apart, and in identity.json how well; it judges as well."""
        r = self.recipe
        embedding = train_identity(r.seed, r.identity, r.device)
        embedding.save(self.folder / IDENTITY)
        found = asdict(verify(embedding, r.seed, r.identity))
        (self.folder / "identity.json").write_text(json.dumps(found, indent=2) + "\n")
        log.info("identity  %s", json.dumps(found))

    def evaluate(self) -> None:
        """`report.json`, `index.html`, `trials.png`: the exported model on what it never saw."""
        device = self.recipe.device
        model, probe = load(str(self.folder / "model"), device), load_probe(self.folder / PROBE)
        figures = evaluate(model, probe.to(device), self.recipe.trials, self.folder)
        numbers = {name: value for name, value in figures.items() if isinstance(value, float)}
        log.info("evaluate  %s", in_one_line(numbers))


def origin_of(recipe: Recipe) -> Soul | None:
    """The model that a run begins with; WeightsError if it is not of the recipe's sizes."""
    if not recipe.origin:
        return None
    found, wanted = load(recipe.origin), recipe.model
    sizes = [(of.dit, of.audio, of.vae) for of in (found.config, wanted)]
    if sizes[0] != sizes[1]:
        raise WeightsError(
            f"the origin {recipe.origin!r} is {found.config.name}, "
            f"expected a model with the sizes of {wanted.name}"
        )
    return found


def in_one_line(figures: dict[str, float]) -> str:
    """Figures in one line."""
    return "  ".join(f"{name} {value:.4f}" for name, value in figures.items())


def encoded_arrays(folder: Path, bank: Bank, model: SoulConfig) -> dict[str, np.memmap]:
    """Fresh arrays for a bank's latents, pivotal latents and audio tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    n, t = bank.config.clips, bank.config.latents
    cell = (model.vae.channels, *model.cells)
    tokens = (n, MICROPHONES, t, model.audio.tokens, model.audio.out_dim)
    wanted = {"pivotal": (n, REFERENCES, *cell), "latents": (n, t, *cell), "tokens": tokens}
    return {name: fresh_array(folder / f"{name}.npy", shape) for name, shape in wanted.items()}


class MissingStage(Exception):
    """A stage was asked for before one that it needs: one sentence."""


def undone(folder: Path, stages: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `stages` that the run in `folder` has not done yet, in the recipe's order."""
    return tuple(s for s in STAGES if s in stages and not (folder / f"{s}.done").exists())


def note_recipe(path: Path, recipe: Recipe) -> None:
    """Write `recipe` beside the run. ValueError if the run there was begun with another."""
    note(path, recipe, FREE)


def run(folder: Path, recipe: Recipe, stages: tuple[str, ...] = STAGES) -> None:
    """Run `stages` in the recipe's order.

    ValueError names a stage that is not known, or where `folder` holds a run of another recipe;
    MissingStage a stage that was asked for too early; WeightsError an origin that does not fit.
    """
    if unknown := [s for s in stages if s not in STAGES]:
        raise ValueError(f"unknown stage {unknown[0]!r}; expected some of {', '.join(STAGES)}")
    this = Run(folder, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    note_recipe(folder / NOTE, recipe)
    torch.set_num_threads(recipe.threads)
    left = undone(folder, stages)
    for stage in (s for s in STAGES if s in stages):
        if stage not in left:
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
        (folder / f"{stage}.done").write_text("")

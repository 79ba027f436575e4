"""What the shipped student can do, measured in its own output frames on what it never saw.

Held-out faces, voices and sentences; the live rollout; a probe that was trained on renders reads
the mouth from the pictures. Writes figures and a sheet to look at. It changes no weights.
"""

import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from soul.measure.life import blinks_per_minute, blinks_shown
from soul.measure.lips import best_lag, closure_in_silence
from soul.measure.picture import psnr, sharpness, smudged, unmoved
from soul.model.cues import Blinks
from soul.model.sample import Soul, advance, cut, open_stream
from soul.model.vae import from_bytes
from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT, SAMPLES_PER_FRAME
from soul.training.motion import COLUMN, Motion
from soul.training.performance import perform
from soul.training.probe import SIZE, Probe
from soul.training.progress import sheet
from soul.training.world import Artist, draw_identity

log = logging.getLogger("soul.training")

CLOSED = 0.08  # a reading below this is a closed mouth, as in `closure_in_silence`


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """How much is judged; seeds far from training's, and the held-out split."""

    trials: int = 12
    chunks: int = 60  # 9.6 s each
    seed: int = 120_001


@dataclass(frozen=True)
class Trial:
    """One held-out take and what the model made of it."""

    pictures: NDArray[np.uint8]  # [frames, H, W, 3]
    truth: NDArray[np.uint8]  # [H, W, 3], the portrait
    motion: Motion
    silent: NDArray[np.bool_]
    opening: NDArray[np.float32]
    eyes: NDArray[np.float32]
    told: NDArray[np.float32]  # the lids that the model was told of
    ceiling: NDArray[np.float32]  # what the probe reads from the world's own render
    unmoved: NDArray[np.bool_]  # [H, W], where that render is the portrait


@dataclass(frozen=True, slots=True)
class Report:
    """Figures over all trials. Correlations are means of one a take; lag is positive when late."""

    trials: int
    frames: int
    mouth_correlation: float
    mouth_correlation_lowest: float
    mouth_lag_frames: float
    mouth_lags: tuple[int, ...]
    closed_in_silence: float
    silent_frames: int
    probe_correlation_on_renders: float
    probe_closed_in_silence_on_renders: float
    blinks_a_minute: float
    blinks_shown: float  # share of those that the model was told of
    smudged: float  # share of what should not move that differs visibly from the portrait
    smudged_in_last_second: float
    sharpness_against_portrait: float
    still_psnr: float


def attempt(model: Soul, probe: Probe, config: TrialConfig, number: int) -> Trial:
    """One take through the live rollout."""
    rng = np.random.default_rng([config.seed, number])
    identity = draw_identity(rng)
    frames = config.chunks * FRAMES_PER_LATENT
    take = perform(rng, frames / FRAME_RATE, "held_out")
    artist = Artist(identity, model.config.image_size)
    portrait = artist.portrait()
    state = open_stream(model, from_bytes(portrait), take.prompt, seed=number)
    sound = torch.from_numpy(take.pcm[: frames * SAMPLES_PER_FRAME].astype(np.float32))
    heard = cut(model.config, sound).to(model.device)
    made = [advance(model, [state], window.unsqueeze(0))[0].cpu() for window in heard]
    pictures = torch.cat(made).numpy()
    seen = probe.read(pictures)
    renders = np.stack([artist.frame(row) for row in take.motion[:frames]])
    return Trial(
        pictures,
        portrait,
        take.motion[:frames],
        take.silent[:frames],
        seen.mouth_open,
        seen.eye_open,
        np.array(Blinks(number).next(frames), np.float32),
        probe.read(renders).mouth_open,
        unmoved(np.concatenate((portrait[None], renders))),
    )


def report(trials: list[Trial]) -> Report:
    """The figures of several takes. Raises ValueError if none of them has speech."""
    column = COLUMN["mouth_open"]
    spoken = [t for t in trials if t.motion[:, column].std() > 0.05]
    if not spoken:
        raise ValueError(f"no take has speech among {len(trials)}, expected at least one")
    lags = [best_lag(t.motion[:, column], t.opening) for t in spoken]
    ceilings = [best_lag(t.motion[:, column], t.ceiling).correlation for t in spoken]
    silent = np.concatenate([t.silent for t in trials])
    opening = np.concatenate([t.opening for t in trials])
    return Report(
        trials=len(trials),
        frames=len(opening),
        mouth_correlation=float(np.mean([lag.correlation for lag in lags])),
        mouth_correlation_lowest=float(np.min([lag.correlation for lag in lags])),
        mouth_lag_frames=float(np.mean([lag.frames for lag in lags])),
        mouth_lags=tuple(lag.frames for lag in lags),
        closed_in_silence=closure_in_silence(opening, silent, CLOSED),
        silent_frames=int(silent.sum()),
        probe_correlation_on_renders=float(np.mean(ceilings)),
        probe_closed_in_silence_on_renders=closure_in_silence(
            np.concatenate([t.ceiling for t in trials]), silent, CLOSED
        ),
        blinks_a_minute=float(np.mean([blinks_per_minute(t.eyes) for t in trials])),
        blinks_shown=mean_of_known([blinks_shown(t.told, t.eyes) for t in trials]),
        smudged=smudged_share(trials, slice(None)),
        smudged_in_last_second=smudged_share(trials, slice(-FRAME_RATE, None)),
        sharpness_against_portrait=float(
            np.mean([sharpness(t.pictures[-1]) / sharpness(t.truth) for t in trials])
        ),
        still_psnr=float(np.mean([psnr(t.truth, t.pictures[-1]) for t in trials])),
    )


def smudged_share(trials: list[Trial], frames: slice) -> float:
    """Mean over takes of what is smudged in some `frames` of each."""
    shares = [smudged(t.pictures[frames], t.truth, t.unmoved) for t in trials]
    return mean_of_known(shares)


def mean_of_known(values: list[float]) -> float:
    """The mean of those that are not nan; nan if all are."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


@torch.inference_mode()
def evaluate(model: Soul, probe: Probe, config: TrialConfig, folder: Path) -> dict[str, object]:
    """Run all trials; figures go to `folder`/report.json, frames to look at to trials.png.

    Returns what report.json holds; a figure that these takes do not have is null there. Raises
    ValueError if the probe cannot read the model's pictures or no take has speech, SpeechError
    without voices.
    """
    if model.config.image_size != SIZE:
        raise ValueError(
            f"model {model.config.name} paints {model.config.image_size} pixels a side, expected "
            f"{SIZE}: the probe reads no other size"
        )
    folder.mkdir(parents=True, exist_ok=True)
    trials = []
    for number in range(config.trials):
        log.info("evaluate  take %d of %d", number + 1, config.trials)
        trials.append(attempt(model, probe, config, number))
    show(trials, folder / "trials.png")
    figures = {name: finite(value) for name, value in asdict(report(trials)).items()}
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def finite(value: object) -> object:
    """`value`, or None for a float that JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(trials: list[Trial], path: Path, columns: int = 8, rows: int = 6) -> None:
    """Per take: the portrait, then frames at even distances."""
    picked = []
    for trial in trials[:rows]:
        at = np.linspace(10, len(trial.pictures) - 1, columns).astype(int)
        picked.append([trial.truth, *trial.pictures[at]])
    sheet(picked, path)

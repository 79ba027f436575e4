"""Stage `listener`: the audio encoder learns to hear the mouth before the DiT learns to draw it.

What Whisper's training does for the 5B model, this does for `soul-mini`: from one chunk's window of
sound, tell the mouth's channels of its four frames. The head that tells is thrown away afterwards.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soul.model.audio import AudioEncoder
from soul.model.config import SoulConfig
from soul.model.sample import cut
from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT, SAMPLES_PER_LATENT
from soul.training.checkpoint import Checkpoint
from soul.training.dataset import microphones
from soul.training.fresh import each_alone
from soul.training.motion import COLUMN
from soul.training.performance import perform
from soul.training.progress import Length, Progress, learning_rate

MOUTH = ("mouth_open", "mouth_wide", "lips_press", "jaw", "teeth", "tongue")
COLUMNS = [COLUMN[name] for name in MOUTH]


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """How much speech is made, and how the encoder is trained on it."""

    takes: int = 480
    seconds: float = 16.0
    seed: int = 11
    length: Length = Length(3200)
    batch: int = 96
    peak: float = 2e-3
    save_every: int = 500


def make_take(config: ListenerConfig, take: int) -> tuple[np.ndarray, np.ndarray]:
    """Sound [MICROPHONES, n] and the mouth's channels [frames, 6] of one take."""
    rng = np.random.default_rng([config.seed, take])
    performance = perform(rng, config.seconds, "train")
    sound = np.stack(microphones(rng, performance))
    return sound.astype(np.float16), performance.motion[:, COLUMNS]


def make_speech(path: Path, config: ListenerConfig, processes: int) -> None:
    """All takes in one file, which is there only when it is whole."""
    takes = each_alone(partial(make_take, config), range(config.takes), processes, __name__)
    pcm, mouth = zip(*takes, strict=True)
    fresh = path.with_suffix(".new.npz")
    np.savez(fresh, pcm=np.stack(pcm), mouth=np.stack(mouth))
    fresh.replace(path)


class Listener(nn.Module):
    """An audio encoder and the head that tells the mouth; [B, samples] → [B, 4, 6]."""

    def __init__(self, config: SoulConfig) -> None:
        super().__init__()
        self.audio = AudioEncoder(config.audio)
        self.tell = nn.Linear(
            self.audio.tokens * config.audio.out_dim, FRAMES_PER_LATENT * len(MOUTH)
        )

    def forward(self, pcm: Tensor) -> Tensor:
        told = self.tell(self.audio(pcm).flatten(1))
        return told.view(-1, FRAMES_PER_LATENT, len(MOUTH))  # type: ignore[no-any-return]


def train_listener(
    model: SoulConfig,
    config: ListenerConfig,
    folder: Path,
    seed: int,
    processes: int,
    device: str = "cpu",
    origin: AudioEncoder | None = None,
) -> Listener:
    """Run or resume the stage; it begins with the encoder `origin`, if there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    speech = folder / "speech.npz"
    if not speech.exists():
        make_speech(speech, config, processes)
    data = np.load(speech)
    sounds, mouths = (torch.from_numpy(data[name]).to(device) for name in ("pcm", "mouth"))
    held = max(1, len(sounds) // 20)
    torch.manual_seed(seed)
    listener = Listener(model).to(device)
    if origin is not None:
        listener.audio.load_state_dict(origin.state_dict())
    progress = Progress("listener", folder, config.length, every=100)
    optimizer = torch.optim.AdamW(listener.parameters(), lr=config.peak, weight_decay=1e-2)
    checkpoint = Checkpoint(folder / "state.pt", listener, optimizer, progress)
    checkpoint.resume()
    for step in progress.run():
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress.fraction, config.peak)
        rng = np.random.default_rng([seed, step])
        take = torch.from_numpy(rng.integers(held, len(sounds), config.batch)).to(device)
        microphone = torch.from_numpy(rng.integers(sounds.shape[1], size=config.batch)).to(device)
        chunk = int(rng.integers(int(config.seconds * FRAME_RATE) // FRAMES_PER_LATENT - 1))
        told = listener(window_of(model, sounds, chunk)[take, microphone].float())
        truth = mouths[take, chunk * FRAMES_PER_LATENT : (chunk + 1) * FRAMES_PER_LATENT]
        loss = F.smooth_l1_loss(told, truth, beta=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        progress.add(loss=loss.item())
        if (step + 1) % config.save_every == 0:
            heard = hear(listener, model, sounds[:held, 0], mouths[:held])
            progress.add(held_out_correlation=heard)
            checkpoint.save()
            progress.plot()
    checkpoint.save()
    progress.plot()
    return listener.eval()


def window_of(model: SoulConfig, pcm: Tensor, chunk: int) -> Tensor:
    """What chunk `chunk` of each of [..., n] hears; nothing was heard before the first sample."""
    start = chunk * SAMPLES_PER_LATENT - model.audio.past_samples
    heard = pcm[..., max(start, 0) : start + model.window_samples]
    return heard if start >= 0 else F.pad(heard, (-start, 0))  # to pad by nought is to copy


@torch.inference_mode()
def hear(listener: Listener, model: SoulConfig, sounds: Tensor, mouths: Tensor) -> float:
    """Correlation of the told opening with the truth over whole takes."""
    told = []
    for pcm in sounds.float():
        told.append(listener(cut(model, pcm)).flatten(0, 1)[:, 0])
    answer = torch.stack(told)[:, : mouths.shape[1]]
    return float(torch.corrcoef(torch.stack((answer.flatten(), mouths[..., 0].flatten())))[0, 1])

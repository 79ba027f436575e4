"""Stages `autoencoder`, `light` and `full`: the latent space, and the two decoders.

All train on crops around what moves, at full scale: a crop of 128 pixels costs a quarter of a
picture, and most of the rest of a portrait is a warp. The flow is supervised by the world's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from soul.model.config import VaeConfig
from soul.model.vae import (
    Decoder,
    Encoder,
    Painted,
    from_bytes,
    full_decoder,
    light_decoder,
    places,
    to_bytes,
)
from soul.timebase import FRAMES_PER_LATENT
from soul.training.checkpoint import Checkpoint
from soul.training.dataset import FLOW_STRIDE, Bank
from soul.training.losses import edge_l1, region_weight, shrink, weighted_l1
from soul.training.motion import CHANNELS, COLUMN
from soul.training.progress import Length, Progress, learning_rate, sheet

PAIR = 2  # latents of one example: the second is painted, the first is the decoder's memory
GAINS = torch.tensor([5.0, 8.0, 8.0])  # mouth, eyes
RECODED = 0.6  # share of examples that are painted from what the student would say
OTHER = 0.35  # share of examples whose reference is another frame of the clip, not the portrait
WHERE = (0.4, 0.18, 0.18, 0.24)  # shares of crops on the mouth, on either eye, anywhere
TOLD_WHERE = (0.0, 0.5, 0.5, 0.0)  # while the encoder learns alone
ON_BLINKS = 0.4  # share of crops on an eye that are taken where the clip blinks, if it does
ON_GLANCES = 0.4  # and where it looks farthest from where it usually looks
SETTLED = 100  # batches after which the scale of latents hardly moves
BROWS = 0.09  # of a picture's side that brows reach above the eyes' boxes
BARELY = 4  # pixels: a latent cell that a box reaches into no farther is not part of it
STEADY = 0.12  # weight of the flow's error: brows and shoulders are moved by nothing else
HOLD = 1.0  # weight of what an encoder that goes on says otherwise, away from the eyes
GAZE_GAIN = 3.0  # weight of gaze among what is told: no channel moves fewer pixels
ON_MOUTH = ("mouth_open", "mouth_wide", "lips_press", "jaw", "teeth", "tongue", "smile")
GAZE = ("gaze_x", "gaze_y")
ON_EYES = ("eye_left", "eye_right", "brow_left", "brow_right")
GAZE_ALONE = torch.tensor([float(name in GAZE) for name in CHANNELS]).repeat(FRAMES_PER_LATENT)


@dataclass(frozen=True, slots=True)
class PaintConfig:
    """How a decoder is trained."""

    length: Length = Length(6000)
    batch: int = 6
    crop: int = 128  # pixels; no more than the picture has
    tell_first: float = 0.0  # share of the stage in which the encoder alone learns to tell gaze
    tell_batch: int = 48
    tell_crop: int = 48  # pixels: an eye with its brow
    peak: float = 6e-4
    noise: float = 0.6  # largest deviation of the noise added to latents
    save_every: int = 250


@dataclass(frozen=True, slots=True)
class Example:
    """A batch of crops, pictures in [-1, 1]."""

    portraits: Tensor  # [B, 3, s, s]
    before: Tensor  # [B, 4, 3, s, s]
    frames: Tensor  # [B, 4, 3, s, s], the four that follow
    flow: Tensor  # [B·4, 2, s/8, s/8] in pixels, of `frames` like all that follows
    steered: Tensor  # [B·4, 1, 1, 1], 1 where `flow` is known: from the neutral portrait alone
    weight: Tensor  # [B·4, 1, s, s]
    motion: Tensor  # [B, 4·17, 1, 1], the world's own channels, in their deviations
    cells: Tensor  # [B, 4·17, s/16, s/16], 1 where a latent cell lies on what a channel moves
    place: Tensor  # [B, 14, s/16, s/16], where the crop's cells lie in the picture
    recoded: Tensor | None = None  # [B, 48, s/16, s/16], `frames` as the student would say them

    def to(self, device: torch.device) -> "Example":
        """The same on `device`."""
        return Example(
            self.portraits.to(device),
            self.before.to(device),
            self.frames.to(device),
            self.flow.to(device),
            self.steered.to(device),
            self.weight.to(device),
            self.motion.to(device),
            self.cells.to(device),
            self.place.to(device),
            None if self.recoded is None else self.recoded.to(device),
        )


def corner(rng: np.random.Generator, box: np.ndarray, crop: int, size: int) -> tuple[int, int]:
    """A crop's upper left corner, on the latent grid, somewhere around `box`."""
    centre = (box[:2] + box[2:]) / 2 + rng.uniform(-0.3, 0.3, 2) * crop
    at = np.clip(np.round((centre - crop / 2) / 16) * 16, 0, size - crop)
    return int(at[0]), int(at[1])


def draw_start(bank: Bank, rng: np.random.Generator, clip: int, on_eye: bool) -> int:
    """The first frame of a random pair of latents of `clip`.

    Blinks fill 4 % of the frames, and most eyes look ahead: too few to learn lids and irises from,
    see `ON_BLINKS` and `ON_GLANCES`.
    """
    last = bank.config.latents - PAIR + 1
    if on_eye:
        why, motion = rng.random(), bank.motion[clip, FRAMES_PER_LATENT:]
        if why < ON_BLINKS:
            lids = motion[:, COLUMN["eye_left"]]
            wanted = lids < 0.5 * np.median(lids)
        else:
            gaze = motion[:, [COLUMN["gaze_x"], COLUMN["gaze_y"]]]
            away = np.abs(gaze - np.median(gaze, 0)).max(-1)
            wanted = (away > np.quantile(away, 0.8)) & (why < ON_BLINKS + ON_GLANCES)
        starts = np.flatnonzero(wanted.reshape(last, FRAMES_PER_LATENT).any(1))
        if starts.size:
            return FRAMES_PER_LATENT * int(rng.choice(starts))
    return FRAMES_PER_LATENT * int(rng.integers(last))


def draw_example(
    bank: Bank,
    rng: np.random.Generator,
    batch: int,
    crop: int,
    recoded: NDArray[np.float16] | None = None,
    where: tuple[float, ...] = WHERE,
) -> Example:
    """Random pairs of latents, cropped around the mouth, an eye, or anywhere.

    The reference is the neutral portrait or, in `OTHER` of the examples, any frame of the clip: a
    portrait from a viewer may smile, blink or look aside.
    `recoded` [clips, n, 48, h, w] are the bank's latents as the student would say them.
    """
    size, count = bank.config.size, PAIR * FRAMES_PER_LATENT
    crop = min(crop, size)
    portraits, frames, flows, boxes, motions, lie, said = [], [], [], [], [], [], []
    steered = []
    whole = places(size // 16, size // 16)[0]
    for _ in range(batch):
        clip = int(rng.integers(bank.config.clips))
        which = int(rng.choice(4, p=where))
        start = draw_start(bank, rng, clip, on_eye=which in (1, 2))
        box = bank.boxes[clip, start, which] if which < 3 else np.tile(rng.uniform(0, size, 2), 2)
        x, y = corner(rng, box, crop, size)
        span = slice(start, start + count)
        other = rng.random() < OTHER
        seen_in = (
            bank.frames[clip, rng.integers(bank.config.frames)] if other else bank.portraits[clip]
        )
        portraits.append(seen_in[y : y + crop, x : x + crop])
        steered.append(0.0 if other else 1.0)
        frames.append(bank.frames[clip, span, y : y + crop, x : x + crop])
        now = slice(start + FRAMES_PER_LATENT, start + count)
        f, c = FLOW_STRIDE, crop // FLOW_STRIDE
        flows.append(bank.flow[clip, now, y // f : y // f + c, x // f : x // f + c])
        boxes.append(with_brows(bank.boxes[clip, now], size) - np.array([x, y, x, y], np.float32))
        motions.append(bank.motion[clip, now] / bank.spread)
        cells = np.s_[:, y // 16 : (y + crop) // 16, x // 16 : (x + crop) // 16]
        lie.append(whole[cells])
        if recoded is not None:
            said.append(recoded[clip, start // FRAMES_PER_LATENT + 1][cells])
    seen = from_bytes(np.stack(frames))
    return Example(
        from_bytes(np.stack(portraits)),
        seen[:, :FRAMES_PER_LATENT],
        seen[:, FRAMES_PER_LATENT:],
        torch.from_numpy(np.stack(flows)).float().flatten(0, 1).permute(0, 3, 1, 2),
        torch.tensor(steered).repeat_interleave(FRAMES_PER_LATENT).view(-1, 1, 1, 1),
        region_weight(torch.from_numpy(np.stack(boxes)).flatten(0, 1), GAINS, crop, crop),
        torch.from_numpy(np.stack(motions)).view(batch, -1, 1, 1),
        channel_cells(torch.from_numpy(np.stack(boxes)), crop // 16),
        torch.stack(lie),
        torch.from_numpy(np.stack(said)).float() if said else None,
    )


def with_brows(boxes: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Boxes [..., 3, 4] of mouth and eyes in pictures of `size`; the eyes' with their brows."""
    grown = boxes.copy()
    grown[..., 1:, 1] -= BROWS * size
    return grown


def channel_cells(boxes: Tensor, side: int) -> Tensor:
    """Boxes [B, 4, 3, 4] in pixels → [B, 4·17, side, side], see `Example.cells`."""
    low, high = boxes.flatten(0, 1).split(2, -1)
    cells = torch.cat((((low + BARELY) / 16).floor(), ((high - BARELY) / 16).ceil()), -1)
    seen = [region_weight(cells[:, i : i + 1], torch.ones(1), side, side) - 1 for i in range(3)]
    mouth, eyes = seen[0], (seen[1] + seen[2]).clamp_max(1)
    both = (mouth + eyes).clamp_max(1)
    on = dict.fromkeys(CHANNELS, both)
    on |= dict.fromkeys(ON_MOUTH, mouth) | dict.fromkeys(ON_EYES, eyes)
    on |= dict.fromkeys(GAZE, GAZE_GAIN * eyes)
    return torch.cat([on[name] for name in CHANNELS], 1).view(len(boxes), -1, side, side)


class Painter(nn.Module):
    """An encoder and one decoder; the loss of both."""

    batches: Tensor

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.learn_encoder = True
        self.origin: Encoder | None = None
        self.register_buffer("batches", torch.zeros(()))
        channels = decoder.channels
        self.tell = nn.Sequential(
            nn.Conv2d(2 * channels, 2 * channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * channels, FRAMES_PER_LATENT * len(CHANNELS), 1),
        )

    @property
    def device(self) -> torch.device:
        return self.batches.device

    def go_on(self, encoder: Encoder, decoder: Decoder) -> None:
        """From what another run has learned; the scale of its latents stays.

        So does, by a loss, what latents say away from the eyes: a transformer that has learned
        them needs not begin again.
        """
        self.encoder.load_state_dict(encoder.state_dict())
        self.decoder.load_state_dict(decoder.state_dict())
        object.__setattr__(self, "origin", encoder.requires_grad_(False))

    def freeze_encoder(self) -> None:
        """From now on the decoder learns alone."""
        self.encoder.requires_grad_(False)
        self.learn_encoder = False

    def latents(self, frames: Tensor, place: Tensor) -> Tensor:
        """Latents of [B, 4, 3, H, W]; while a fresh encoder learns, its means follow the batch."""
        if not self.learn_encoder or self.origin is not None:
            with torch.set_grad_enabled(self.learn_encoder and torch.is_grad_enabled()):
                return self.encoder(frames, place)  # type: ignore[no-any-return]
        raw = self.encoder.raw(frames, place).float()
        with torch.no_grad():
            # The first batches count fully: a scale that creeps in would be a moving target.
            share = max(1 / SETTLED, 1 / float(self.batches.add_(1)))
            self.encoder.mean.lerp_(raw.mean((0, 2, 3)), share)
            self.encoder.deviation.lerp_(raw.std((0, 2, 3)).clamp_min(1e-3), share)
        mean, deviation = self.encoder.mean.clone(), self.encoder.deviation.clone()
        return (raw - mean.view(1, -1, 1, 1)) / deviation.view(1, -1, 1, 1)

    def told(self, latents: Tensor, pivotal: Tensor, example: Example) -> Tensor:
        """How badly the world's channels can be told, cell by cell, from a latent and the pivotal.

        It teaches the encoder to keep what moves where the DiT and the decoders can read it. In
        deviations, or a gaze, which moves little and few pixels, would not be kept at all.
        """
        told = self.tell(torch.cat((latents, pivotal), 1)).float()
        error = F.smooth_l1_loss(told, example.motion.expand_as(told), beta=0.5, reduction="none")
        return (error * example.cells).sum() / example.cells.sum().clamp_min(1)

    def astray(self, latents: Tensor, example: Example) -> Tensor:
        """How far clean latents are from the origin's, away from the eyes; 0 without an origin."""
        if self.origin is None or not self.learn_encoder:
            return latents.new_zeros(())
        with torch.no_grad():
            held: Tensor = self.origin.to(latents.device)(example.frames, example.place)
        eyes = example.cells[:, CHANNELS.index(GAZE[0]) :: len(CHANNELS)].amax(1, keepdim=True)
        apart: Tensor = (latents - held).float().square() * (eyes == 0)
        return apart.mean()

    def pair(self, example: Example) -> tuple[Tensor, Tensor]:
        """Pivotal latents, and the latents of the frames."""
        pivotal = self.latents(example.portraits.unsqueeze(1), example.place)
        return pivotal, self.latents(example.frames, example.place)

    def encoder_losses(
        self, clean: Tensor, seen: Tensor, pivotal: Tensor, example: Example
    ) -> dict[str, Tensor]:
        """What the encoder alone answers for, by name; `seen` are latents with noise."""
        told, astray = self.told(seen, pivotal, example), self.astray(clean, example)
        return {"total": told + HOLD * astray, "told": told, "astray": astray}

    def look_first(self, example: Example) -> dict[str, Tensor]:
        """The loss of the encoder alone, of gaze alone: an iris moves so few pixels that beside
        all else, or under noise, it is never found."""
        pivotal, clean = self.pair(example)
        gaze = GAZE_ALONE.to(clean.device).view(1, -1, 1, 1)
        return self.encoder_losses(
            clean, clean, pivotal, replace(example, cells=example.cells * gaze)
        )

    def forward(self, example: Example, noise: float) -> dict[str, Tensor]:
        """Losses by name; `total` is what is minimised."""
        pivotal, clean = self.pair(example)
        latents = noised(mixed(clean, example.recoded), noise)
        reference = self.decoder.refer(example.portraits, pivotal, example.place)
        state = self.decoder.first_state(reference)
        if torch.rand(()) < 0.7:
            with torch.no_grad():
                before = self.encoder(example.before, example.place)
            state = self.decoder.enter(before.to(latents.dtype), reference)
        painted = self.decoder(latents, reference, state)
        found = losses(painted, example)
        if self.learn_encoder:
            also = self.encoder_losses(clean, latents, pivotal, example)
            found = {**found, **also, "total": found["total"] + also["total"]}
        return found


def mixed(latents: Tensor, recoded: Tensor | None) -> Tensor:
    """`latents`, of which a share of `RECODED` is as the student would say them, if it is known."""
    if recoded is None:
        return latents
    chosen = torch.rand(len(latents), 1, 1, 1, device=latents.device) < RECODED
    return torch.where(chosen, recoded.to(latents.dtype), latents)


def noised(latents: Tensor, noise: float) -> Tensor:
    """`latents` with noise of a random deviation up to `noise`."""
    amount = noise * torch.rand(len(latents), 1, 1, 1, device=latents.device)
    return latents + amount * torch.randn_like(latents)


def losses(painted: Painted, example: Example) -> dict[str, Tensor]:
    """Picture, edges, what was painted, and flow against the world's own."""
    truth, weight = example.frames.flatten(0, 1), example.weight
    picture = weighted_l1(painted.pictures, truth, weight)
    edge = edge_l1(painted.pictures, truth, weight)
    under = weighted_l1(painted.paint, truth, weight)
    off = (painted.flow - example.flow).abs() * example.steered
    steer = (off * shrink(weight, FLOW_STRIDE)).mean()
    total = picture + edge + 0.15 * under + STEADY * steer
    return {"total": total, "picture": picture, "edge": edge, "paint": under, "flow": steer}


def train_painter(
    painter: Painter,
    bank: Bank,
    config: PaintConfig,
    folder: Path,
    stage: str,
    seed: int,
    recoded: NDArray[np.float16] | None = None,
) -> None:
    """Run or resume one stage; leaves `state.pt`, curves and sample sheets in `folder`."""
    torch.manual_seed(seed)
    progress = Progress(stage, folder, config.length)
    optimizer = new_optimizer(painter, config.peak)
    checkpoint = Checkpoint(folder / "state.pt", painter, optimizer, progress)
    checkpoint.resume()
    for step in progress.run():
        rng = np.random.default_rng([seed, step])
        telling = progress.fraction < config.tell_first
        if telling:
            example = draw_example(bank, rng, config.tell_batch, config.tell_crop, None, TOLD_WHERE)
        else:
            example = draw_example(bank, rng, config.batch, config.crop, recoded)
        example = example.to(painter.device)
        rate = learning_rate(progress.fraction, config.peak)
        found = improve(painter, optimizer, example, config.noise, rate, telling)
        progress.add(**found)
        if (step + 1) % config.save_every == 0:
            checkpoint.save()
            show(painter, bank, folder / "samples.png")
            progress.plot()
    checkpoint.save()
    show(painter, bank, folder / "samples.png")
    progress.plot()


def new_optimizer(learner: nn.Module, peak: float) -> torch.optim.Optimizer:
    """Over what of it learns."""
    learned = [p for p in learner.parameters() if p.requires_grad]
    return torch.optim.AdamW(learned, lr=peak, betas=(0.9, 0.99), weight_decay=1e-4)


def improve(
    painter: Painter,
    optimizer: torch.optim.Optimizer,
    example: Example,
    noise: float,
    rate: float,
    telling: bool = False,
) -> dict[str, float]:
    """One optimizer step; the losses by name. While `telling`, the encoder learns alone."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast(painter.device.type, torch.bfloat16):
        found = painter.look_first(example) if telling else painter(example, noise)
    optimizer.zero_grad(set_to_none=True)
    found["total"].backward()
    nn.utils.clip_grad_norm_([p for p in painter.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    return {name: value.item() for name, value in found.items()}


@torch.inference_mode()
def show(painter: Painter, bank: Bank, path: Path, clips: int = 4) -> None:
    """A sheet: portrait, then truth above answer, for a few clips."""
    rows = []
    count = PAIR * FRAMES_PER_LATENT
    for clip in range(min(clips, bank.config.clips)):
        first = min(count, bank.config.frames - count)
        group = slice(first, first + count)
        portrait = from_bytes(bank.portraits[clip : clip + 1]).to(painter.device)
        truth = bank.frames[clip, group]
        seen = from_bytes(truth).unflatten(0, (PAIR, FRAMES_PER_LATENT))
        z = painter.encoder(seen.to(painter.device))
        reference = painter.decoder.refer(portrait, painter.encoder.still(portrait))
        state = painter.decoder.first_state(reference)
        answers: list[np.ndarray] = []
        for i in range(PAIR):
            painted = painter.decoder(z[i : i + 1], reference, state)
            state = painted.state
            answers.extend(to_bytes(painted.pictures, FRAMES_PER_LATENT)[0].cpu().numpy())
        rows.append([bank.portraits[clip], *truth[1::3]])
        rows.append([bank.portraits[clip], *answers[1::3]])
    sheet(rows, path)


def new_autoencoder(config: VaeConfig, seed: int) -> Painter:
    """An encoder that learns beside the decoder that will serve with it."""
    torch.manual_seed(seed)
    return Painter(*channels_last(Encoder(config), light_decoder(config)))


def new_light(config: VaeConfig, encoder: Encoder, seed: int) -> Painter:
    """The light decoder over an encoder that has stopped learning."""
    return beside(encoder, light_decoder, config, seed)


def new_full(config: VaeConfig, encoder: Encoder, seed: int) -> Painter:
    """The full decoder over an encoder that has stopped learning."""
    return beside(encoder, full_decoder, config, seed)


def beside(
    encoder: Encoder, decoder: Callable[[VaeConfig], Decoder], config: VaeConfig, seed: int
) -> Painter:
    """A fresh decoder that learns alone."""
    torch.manual_seed(seed)
    painter = Painter(*channels_last(encoder, decoder(config)))
    painter.freeze_encoder()
    return painter


def channels_last(encoder: Encoder, decoder: Decoder) -> tuple[Encoder, Decoder]:
    for part in (encoder, decoder):
        nn.Module.to(part, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return encoder, decoder

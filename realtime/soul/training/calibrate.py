"""How much larger cues have to be told than they are meant.

Who learns by least squares and is not sure paints less of a motion than it is told, the DiT and
the decoder both. How much less is read from the latents of its pictures, by one linear map from
true latents to what was told of them; no judge is asked. What the map cannot read is told as it is
meant. What is over soon, a nod or a shake, loses more than a pose that is held, and is told larger
besides.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from soul.model.cues import CHANNELS
from soul.model.sample import Soul
from soul.training.diffusion import Latents
from soul.training.samples import Sampling, roll_out

CLIPS = 64  # that the model says, and that the map has not been fitted to
READABLE = 0.5  # correlation with what was told, of what is read from either's latents
LARGEST = 1.8  # nothing is told so large that training never saw its like
GESTURES = ("pitch", "yaw")  # of nods, and of shakes
LEFT_ALONE = ("lids", "listening")  # shut is shut, and the word is somebody's or it is not
RIDGE = 0.03  # of the features' mean power


def calibrated(model: Soul, portraits: NDArray[np.uint8], data: Latents) -> Soul:
    """`model`, which from now on is told its cues as large as `readings` find it has to be."""
    found = readings(model, portraits, data)
    held = gains(*(part.flatten(0, 1) for part in found))
    fast = gains(*(quick(part).flatten(0, 1) for part in found))
    gestures = [CHANNELS.index(name) for name in GESTURES]
    besides = (fast / held)[gestures].clamp_min(1.0)
    model.config = replace(
        model.config, cue_gains=in_thousandths(held), gesture_gains=in_thousandths(besides)
    )
    return model


def in_thousandths(values: Tensor) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in values.tolist())


def quick(values: Tensor) -> Tensor:
    """What of [clips, n, channels] is not the mean of five latents around, 0.8 s."""
    by_time = F.pad(values.transpose(1, 2), (2, 2), mode="replicate")
    return values - F.avg_pool1d(by_time, 5, 1).transpose(1, 2)


@torch.no_grad()
def readings(
    model: Soul, portraits: NDArray[np.uint8], data: Latents
) -> tuple[Tensor, Tensor, Tensor]:
    """What was told of the first clips of a bank of `portraits` [clips, H, W, 3], what is read from
    their true latents, and from the pictures of `model`: [clips, n, channels] each."""
    count, chunks = data.latents.shape[:2]
    held = max(1, min(CLIPS, count // 2))
    told = torch.from_numpy(data.cues).mean(2)
    reader = fitted(features(data, slice(held, count)), told[held:].flatten(0, 1))
    true = features(data, slice(held)) @ reader
    sampling = Sampling(model.config.steps, 1.0)
    shown = roll_out(model, model.decoder, portraits[:held], data, sampling, chunks)
    seen = [model.encoder(four.unflatten(0, (held, -1)).clamp(-1, 1)).cpu() for four in shown]
    painted = moved(torch.stack(seen, 1), data.pivotal[:held, 0]) @ reader
    return told[:held], true.view_as(told[:held]), painted.view_as(told[:held])


def features(data: Latents, clips: slice) -> Tensor:
    """True latents of `clips` as the map sees them: [clips · n, C · h/2 · w/2]."""
    latents = torch.from_numpy(np.array(data.latents[clips])).float()
    return moved(latents, data.pivotal[clips, 0])


def moved(latents: Tensor, pivotal: NDArray[np.float16]) -> Tensor:
    """How latents [clips, n, C, h, w] differ from their portraits', by blocks of 2 x 2 cells."""
    still = torch.from_numpy(np.array(pivotal)).float().unsqueeze(1)
    return F.avg_pool2d((latents - still).flatten(0, 1), 2).flatten(1)


def fitted(seen: Tensor, told: Tensor) -> Tensor:
    """The linear map [features, channels] from what is `seen` to what was `told`, by ridge."""
    power = seen.T @ seen
    power += RIDGE * power.diagonal().mean() * torch.eye(len(power))
    found: Tensor = torch.linalg.solve(power, seen.T @ told)
    return found


def gains(told: Tensor, true: Tensor, painted: Tensor) -> Tensor:
    """The gains [channels] from what was told of N latents, what is read from true ones, and from
    the model's: [N, channels] each."""
    off = told - told.mean(0)
    power = off.square().mean(0).clamp_min(1e-6)
    slopes, correlations = [], []
    for read in (true, painted):
        slope = (off * (read - read.mean(0))).mean(0) / power
        slopes.append(slope)
        correlations.append(slope * power.sqrt() / read.std(0).clamp_min(1e-6))
    wanted = (slopes[0] / slopes[1].clamp_min(1e-6)).clamp(1.0, LARGEST)
    found = torch.where(torch.stack(correlations).amin(0) < READABLE, 1.0, wanted)
    found[[CHANNELS.index(name) for name in LEFT_ALONE]] = 1.0
    return found

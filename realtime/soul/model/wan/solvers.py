"""From noise to clean latents by the flow-matching solvers that Wan 2.2 is sampled with.

The steps themselves are diffusers'; the noise levels and timesteps are those of the official code,
which diffusers' own tables miss by up to 4.3e-3 (UniPC) and 3e-4 (DPM++). Knows no network: a flow
is any function of latents and timesteps, guidance included.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, cast

import numpy as np
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from soul.model.sample import TIMESTEPS

SHIFT = 5.0  # towards noise, as Wan2.2-TI2V-5B is sampled

# UniPC starts where training ends: of 1000 levels the highest is 0.999, kept in float32.
UNIPC_HIGHEST = float(np.float32(1 - 1 / TIMESTEPS))

# Latents [B, C, F, h, w] and a timestep for each of them [B, F] → the flow, noise − clean.
Flow = Callable[[Tensor, Tensor], Tensor]


class Method(StrEnum):
    """How a step is taken."""

    UNIPC = "unipc"  # second order, with a corrector: the official default
    DPM = "dpm++"  # second order, two steps' answers
    EULER = "euler"  # first order: few-step students


@dataclass(frozen=True, slots=True)
class Schedule:
    """Where the solver stops on its way from noise to a clean latent."""

    sigmas: Tensor  # [steps + 1] float32, the last one 0
    timesteps: Tensor  # [steps], what the network is told: int64, or float32 for Euler


class Stepper(Protocol):
    """What the three schedulers of diffusers have in common."""

    sigmas: Tensor
    timesteps: Tensor

    def set_timesteps(self, num_inference_steps: int) -> None: ...

    def set_begin_index(self, begin_index: int) -> None: ...

    def step(
        self, model_output: Tensor, timestep: Tensor, sample: Tensor, *, return_dict: bool
    ) -> tuple[Tensor, ...]: ...


def schedule(method: Method, steps: int, shift: float = SHIFT) -> Schedule:
    """The official noise levels and timesteps (Wan2.2, wan/utils/fm_solvers*.py).

    A network that was trained on 1000 levels is told an integer, cut off, not rounded. Euler's
    levels and timesteps are those of this project's own students (`model.sample.sigmas`).

    Raises ValueError for less than one step and for a shift that is not above 0.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps were asked for, expected at least 1")
    if not shift > 0:
        raise ValueError(f"shift is {shift}, expected a number above 0")
    # Formed as the official code does: where a timestep is cut off, the last bit decides.
    levels = np.linspace(UNIPC_HIGHEST if method is Method.UNIPC else 1.0, 0, steps + 1)
    levels = shift * levels / (1 + (shift - 1) * levels)
    told = torch.from_numpy(levels[:-1] * TIMESTEPS)
    told = told.float() if method is Method.EULER else told.long()
    return Schedule(torch.from_numpy(levels).float(), told)


def scheduler_of(method: Method) -> Stepper:
    """diffusers' scheduler, of a flow, before its tables are set."""
    flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    if method is Method.UNIPC:
        return cast(Stepper, UniPCMultistepScheduler(**flow))
    if method is Method.DPM:
        return cast(Stepper, DPMSolverMultistepScheduler(**flow))
    return cast(Stepper, FlowMatchEulerDiscreteScheduler())


class Solver:
    """One way from noise to a clean latent; it remembers earlier steps, so each way needs its own.

    As many `step`s as there are `timesteps`, in order.
    """

    def __init__(self, method: Method, steps: int, shift: float = SHIFT) -> None:
        found = schedule(method, steps, shift)
        self.timesteps = found.timesteps
        self.taken = 0
        self.scheduler = scheduler_of(method)
        self.scheduler.set_timesteps(steps)
        self.scheduler.sigmas, self.scheduler.timesteps = found.sigmas, found.timesteps
        # Counted from here on: two steps may share an integer timestep.
        self.scheduler.set_begin_index(0)

    def step(self, flow: Tensor, latent: Tensor) -> Tensor:
        """The latent at the next noise level; float32, whatever the flow was computed in."""
        if self.taken == len(self.timesteps):
            raise ValueError(f"all {self.taken} steps are taken; a new way needs a new solver")
        timestep = self.timesteps[self.taken]
        self.taken += 1
        return self.scheduler.step(flow.float(), timestep, latent.float(), return_dict=False)[0]


def pinned(latents: Tensor, known: Tensor | None) -> Tensor:
    """`latents` [B, C, F, h, w], the first of them overwritten by `known` [B, C, k, h, w]."""
    if known is None:
        return latents
    return torch.cat((known.to(latents), latents[:, :, known.shape[2] :]), 2)


def solve(flow: Flow, noise: Tensor, solver: Solver, known: Tensor | None = None) -> Tensor:
    """Noise [B, C, F, h, w] → clean latents of the same shape, float32.

    `known` [B, C, k, h, w] are the first latents (TI2V: the pivotal one; in clip mode also what
    overlaps with the clip before). They stand there clean before the first step and after every
    one, and the network is told timestep 0 for them.
    """
    count = 0 if known is None else known.shape[2]
    if count >= noise.shape[2]:
        raise ValueError(f"{count} of {noise.shape[2]} latents are known, nothing is to be solved")
    latents = pinned(noise.float(), known)
    for timestep in solver.timesteps:
        told = timestep.to(noise.device).repeat(noise.shape[0], noise.shape[2])
        told[:, :count] = 0
        latents = pinned(solver.step(flow(latents, told), latents), known)
    return latents

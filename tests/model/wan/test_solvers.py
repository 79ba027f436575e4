"""Solvers against the official code: its tables, its ends of a toy flow, and TI2V's rule.

Golden values: wan/utils/fm_solvers.py and fm_solvers_unipc.py of Wan-Video/Wan2.2, commit 42bf4cf,
run on the same toy flow (float32, CPU).
"""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from soul.model.sample import TIMESTEPS
from soul.model.sample import sigmas as student_sigmas
from soul.model.wan.solvers import Flow, Method, Schedule, Solver, schedule, solve

NOISE = torch.linspace(-2, 2, 24).view(1, 2, 3, 2, 2)
KNOWN = torch.linspace(-1, 1, 8).view(1, 2, 1, 2, 2)
PROBES = [0, 5, 11, 14, 23]  # of the flattened answer; the first and the fourth lie in latent 0
COUNTS = (50, 25, 4, 2)

# fmt: off
UNIPC_50 = [
    999, 995, 991, 987, 982, 978, 973, 968, 963, 957, 952, 946, 940, 934, 927, 920, 913, 906, 898,
    890, 882, 873, 863, 854, 843, 833, 821, 809, 796, 783, 768, 753, 737, 720, 701, 681, 660, 636,
    611, 584, 555, 522, 487, 448, 405, 356, 302, 241, 172, 92,
]
DPM_50 = [
    1000, 995, 991, 987, 982, 978, 973, 968, 963, 957, 952, 946, 940, 934, 927, 921, 913, 906, 898,
    890, 882, 873, 864, 854, 844, 833, 821, 809, 797, 783, 769, 753, 737, 720, 701, 681, 660, 637,
    612, 585, 555, 523, 487, 448, 405, 357, 303, 241, 172, 92,
]
UNIPC_25 = [
    999, 991, 982, 973, 963, 952, 940, 927, 913, 898, 882, 863, 843, 821, 796, 768, 737, 701, 660,
    611, 555, 487, 405, 302, 172,
]
DPM_25 = [
    1000, 991, 982, 973, 963, 952, 940, 927, 913, 898, 882, 864, 844, 821, 797, 769, 737, 701, 660,
    612, 555, 487, 405, 303, 172,
]
TIMES = {
    (Method.UNIPC, 50): UNIPC_50, (Method.UNIPC, 25): UNIPC_25,
    (Method.UNIPC, 4): [999, 937, 833, 624], (Method.UNIPC, 2): [999, 833],
    (Method.DPM, 50): DPM_50, (Method.DPM, 25): DPM_25,
    (Method.DPM, 4): [1000, 937, 833, 625], (Method.DPM, 2): [1000, 833],
}
LEVELS = {
    (Method.UNIPC, 4): [0.9997998476028442, 0.9372654557228088, 0.8330553770065308,
                        0.6246873736381531, 0.0],
    (Method.UNIPC, 2): [0.9997998476028442, 0.8330553770065308, 0.0],
    (Method.UNIPC, 25): [0.9997998476028442, 0.9915304780006409, 0.9826958179473877,
                         0.9732357859611511, 0.9630816578865051, 0.9521540403366089],
    (Method.DPM, 4): [1.0, 0.9375, 0.8333333134651184, 0.625, 0.0],
    (Method.DPM, 2): [1.0, 0.8333333134651184, 0.0],
    (Method.DPM, 25): [1.0, 0.9917355179786682, 0.9829059839248657, 0.9734513163566589,
                       0.963302731513977, 0.9523809552192688],
}
ENDS = {
    (Method.UNIPC, 50): [-0.873039, -0.229435, 0.133555, 0.173006, 0.462489],
    (Method.UNIPC, 25): [-0.87091, -0.22448, 0.132815, 0.170728, 0.433872],
    (Method.UNIPC, 4): [-0.597482, -0.132889, 0.157048, 0.035983, 0.089041],
    (Method.UNIPC, 2): [-0.20535, -0.020053, 0.210452, -0.155288, 0.176906],
    (Method.DPM, 50): [-0.874974, -0.22965, 0.133415, 0.173659, 0.463912],
    (Method.DPM, 25): [-0.873476, -0.224426, 0.132516, 0.171575, 0.431053],
    (Method.DPM, 4): [-0.591858, -0.124484, 0.154837, 0.04655, 0.088809],
    (Method.DPM, 2): [-0.20487, -0.019734, 0.210585, -0.155362, 0.176288],
}
# fmt: on


def toy(latents: Tensor, timesteps: Tensor) -> Tensor:
    """A flow that bends, so that the order of a solver shows."""
    level = timesteps[:, None, :, None, None] / TIMESTEPS
    return torch.tanh(1.5 * latents) * (1 + level) - 0.4 * torch.cos(3 * latents) + 0.2 * level


@dataclass
class Seen:
    """A flow that keeps what it was shown."""

    flow: Flow
    latents: list[Tensor]
    timesteps: list[Tensor]

    def __call__(self, latents: Tensor, timesteps: Tensor) -> Tensor:
        self.latents.append(latents)
        self.timesteps.append(timesteps)
        return self.flow(latents, timesteps)


@pytest.mark.parametrize("method", [Method.UNIPC, Method.DPM])
@pytest.mark.parametrize("steps", COUNTS)
def test_the_network_is_told_the_official_integers(method: Method, steps: int) -> None:
    found = schedule(method, steps)
    assert found.timesteps.dtype == torch.int64
    assert found.timesteps.tolist() == TIMES[method, steps]


@pytest.mark.parametrize(("method", "steps"), LEVELS)
def test_the_noise_levels_are_the_official_ones(method: Method, steps: int) -> None:
    found, wanted = schedule(method, steps).sigmas, torch.tensor(LEVELS[method, steps])
    assert found.shape == (steps + 1,)
    assert found[-1] == 0
    torch.testing.assert_close(found[: len(wanted)], wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("steps", COUNTS)
def test_fifty_levels_are_as_by_hand(steps: int) -> None:
    """The levels between which training's 1000 lie, shifted by 5."""
    for method, highest in ((Method.UNIPC, 0.999), (Method.DPM, 1.0)):
        plain = highest * (1 - torch.arange(steps + 1, dtype=torch.float64) / steps)
        wanted = (5 * plain / (1 + 4 * plain)).float()
        torch.testing.assert_close(schedule(method, steps).sigmas, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("steps", COUNTS)
def test_euler_walks_as_the_students_do(steps: int) -> None:
    found, wanted = schedule(Method.EULER, steps), torch.tensor(student_sigmas(steps, 5.0))
    torch.testing.assert_close(found.sigmas, wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.timesteps, wanted[:-1] * TIMESTEPS)
    latents = NOISE
    for level, following in pairwise(wanted):
        told = (level * TIMESTEPS).expand(1, 3)
        latents = latents + (following - level) * toy(latents, told)
    found_end = solve(toy, NOISE, Solver(Method.EULER, steps))
    torch.testing.assert_close(found_end, latents, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("method", "steps"), ENDS)
def test_a_toy_flow_ends_where_the_official_code_ends(method: Method, steps: int) -> None:
    found = solve(toy, NOISE, Solver(method, steps)).flatten()[PROBES]
    torch.testing.assert_close(found, torch.tensor(ENDS[method, steps]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", Method)
def test_every_method_comes_to_the_same_end(method: Method) -> None:
    """Along the straight flow to one point; the higher orders need few steps to get there."""
    clean = torch.linspace(1, -1, 24).view(NOISE.shape)

    def straight(latents: Tensor, timesteps: Tensor) -> Tensor:
        return NOISE - clean

    # UniPC sets out from the level 0.9998 as if it were 1.
    found = solve(straight, NOISE, Solver(method, 4))
    torch.testing.assert_close(found, clean, atol=1e-3, rtol=0)


@pytest.mark.parametrize("method", Method)
def test_a_known_latent_stands_clean_before_every_step_and_at_the_end(method: Method) -> None:
    seen = Seen(toy, [], [])
    found = solve(seen, NOISE, Solver(method, 4), KNOWN)
    assert torch.equal(found[:, :, :1], KNOWN)
    assert len(seen.latents) == 4
    for latents, told in zip(seen.latents, seen.timesteps, strict=True):
        assert torch.equal(latents[:, :, :1], KNOWN)
        assert told[:, 0].tolist() == [0]
        assert (told[:, 1:] > 0).all()
    wanted = schedule(method, 4).timesteps
    assert torch.equal(torch.stack(seen.timesteps)[:, 0, 2], wanted)


@pytest.mark.parametrize(("method", "steps"), ENDS)
def test_what_is_unknown_ends_where_the_official_code_ends(method: Method, steps: int) -> None:
    """The toy flow looks at each value alone, so the known latent moves no other."""
    found = solve(toy, NOISE, Solver(method, steps), KNOWN).flatten()[PROBES]
    wanted = torch.tensor(ENDS[method, steps])
    wanted[[0, 3]] = torch.tensor([-1.0, 0.714286])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_several_latents_may_be_known() -> None:
    """Clip mode: the pivotal latent and the overlap with the clip before."""
    known = torch.cat((KNOWN, -KNOWN), 2)
    seen = Seen(toy, [], [])
    found = solve(
        seen, NOISE.repeat(2, 1, 1, 1, 1), Solver(Method.UNIPC, 2), known.repeat(2, 1, 1, 1, 1)
    )
    assert torch.equal(found[1:, :, :2], known)
    assert seen.timesteps[1].tolist() == [[0, 0, 833], [0, 0, 833]]


def test_two_ways_do_not_meet() -> None:
    """Solvers keep what earlier steps answered, each its own."""
    alone = solve(toy, NOISE, Solver(Method.UNIPC, 4))
    first, second = Solver(Method.UNIPC, 4), Solver(Method.UNIPC, 4)
    here, there = NOISE, -NOISE
    for timestep in first.timesteps:
        told = timestep.repeat(1, 3)
        here, there = first.step(toy(here, told), here), second.step(toy(there, told), there)
    assert torch.equal(here, alone)


def test_half_precision_flows_are_summed_in_full() -> None:
    found = solve(lambda x, t: toy(x, t).bfloat16(), NOISE.bfloat16(), Solver(Method.DPM, 4))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, solve(toy, NOISE, Solver(Method.DPM, 4)), atol=0.03, rtol=0)


def test_a_solver_serves_one_way() -> None:
    solver = Solver(Method.EULER, 2)
    solve(toy, NOISE, solver)
    with pytest.raises(ValueError, match="all 2 steps are taken"):
        solver.step(NOISE, NOISE)


@pytest.mark.parametrize(
    ("steps", "shift", "message"), [(0, 5.0, "0 steps"), (4, 0.0, "shift is 0")]
)
def test_what_makes_no_schedule_is_refused(steps: int, shift: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedule(Method.UNIPC, steps, shift)


def test_something_must_be_left_to_solve() -> None:
    with pytest.raises(ValueError, match="3 of 3 latents are known"):
        solve(toy, NOISE, Solver(Method.DPM, 2), NOISE)


def test_a_schedule_fits_together() -> None:
    found: Schedule = schedule(Method.DPM, 7, shift=3.0)
    assert len(found.sigmas) == len(found.timesteps) + 1
    assert (found.sigmas.diff() < 0).all()

import math

import pytest
import torch
from sampling_fakes import GaussianDenoiser, flow_solution, steps

from frisket.core.errors import FrisketError
from frisket.processes.base import Estimate
from frisket.processes.gaussian import Gaussian
from frisket.processes.paths import VPLinear
from frisket.processes.predictions import Eps
from frisket.sampling.base import Moment
from frisket.sampling.grids import Repaint, Uniform
from frisket.sampling.inversion import Replay, Trajectory
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.dpm_solver import DPMSolver2M
from frisket.sampling.solvers.euler import Euler
from frisket.sampling.solvers.heun import Heun

X = torch.linspace(-1, 4, 16, dtype=torch.float64)[:, None]
SOLVERS = [Euler(), Heun(), DDIM(), DPMSolver2M()]


def inverted(update, n, process=None):
    process = process or Gaussian()
    sampler = Sampler(steps=n, update=update)
    return Trajectory.of(sampler.invert(GaussianDenoiser(process), process, x=X, step=steps(16)))


def returned(update, n, process=None):
    """The largest error after inversion and sampling, n moves each way."""
    process = process or Gaussian()
    trajectory = inverted(update, n, process)
    back = Sampler(steps=n, update=update).sample(
        GaussianDenoiser(process), process, shape=(1,), step=steps(16), start=trajectory.start
    )
    return float((back - X).abs().max())


@pytest.mark.parametrize("update", SOLVERS)
def test_the_way_up_follows_the_probability_flow(update):
    process = Gaussian()
    errors = []
    for n in (50, 100):
        trajectory = inverted(update, n)
        assert trajectory.times[0] == 0.0
        assert trajectory.times[-1] == 1.0
        assert torch.equal(trajectory.states[0], X)
        middle = trajectory.states[n // 2]
        want = flow_solution(process, X, 1e-9, trajectory.times[n // 2])
        errors.append(float((middle - want).abs().max()))
    order = {"Euler": 0.95, "DDIM": 0.95, "Heun": 1.9, "DPMSolver2M": 1.6}[
        type(update).__name__
    ]  # its two ends are of order one
    assert math.log2(errors[0] / errors[1]) > order


@pytest.mark.parametrize("process", [Gaussian(), Gaussian(path=VPLinear(), prediction=Eps())])
def test_there_and_back_the_second_order_solver_loses_less(process):
    errors = {name: [returned(u, n, process) for n in (20, 40)] for name, u in (("1", DDIM()), ("2", DPMSolver2M()))}
    assert errors["2"][0] < errors["1"][1]
    slope = {name: math.log2(e[0] / e[1]) for name, e in errors.items()}
    assert slope["1"] > 0.7
    assert slope["2"] > 1.4


def test_heun_returns_best_for_its_two_forwards():
    assert returned(Heun(), 20) < returned(DDIM(), 40)


def test_a_replayed_run_is_the_trajectory():
    process = Gaussian()
    trajectory = inverted(DDIM(), 5)
    where = torch.zeros(16, 1, dtype=torch.bool)
    where[:8] = True
    run = Sampler(steps=5, update=DDIM(), corrections=(Replay(trajectory=trajectory, where=where),))
    for shot in run.run(GaussianDenoiser(process), process, shape=(1,), step=steps(16), start=trajectory.start):
        assert torch.equal(shot.x[:8], trajectory.at(shot.t)[:8])
    assert torch.equal(shot.x[:8], X[:8])
    assert not torch.allclose(shot.x[8:], X[8:], atol=1e-4)


def test_a_time_that_was_not_passed_is_refused():
    with pytest.raises(FrisketError, match="no state at t = 0.33"):
        inverted(DDIM(), 5).at(0.33)


@pytest.mark.parametrize("update", [DDIM(eta=0.5), Ancestral()])
def test_solvers_with_fresh_noise_are_refused(update):
    with pytest.raises(FrisketError, match="without fresh noise"):
        Sampler(steps=4, update=update).invert(None, Gaussian(), x=X, step=steps(16))


def test_grids_that_go_up_are_refused():
    sampler = Sampler(steps=4, update=DDIM(), grid=Repaint(jump=2, resamples=2, base=Uniform()))
    with pytest.raises(FrisketError, match="going down at every move"):
        sampler.invert(None, Gaussian(), x=X, step=steps(16))


class Fixed:
    """`Evaluate` with a given noise estimate."""

    def __init__(self, process, noise):
        self.process, self.noise, self.last = process, noise, None

    def __call__(self, x, t, rows=None):
        level = self.process.level(t, x)
        return Estimate(x0=(x - level.sigma * self.noise) / level.alpha, noise=self.noise)


@pytest.mark.parametrize("name", ["DPMSolverMultistepScheduler", "DPMSolverMultistepInverseScheduler"])
def test_step_by_step_with_diffusers(name):
    """DPM-Solver++ 2M, down and up, on the same times with the same noise estimates."""
    diffusers = pytest.importorskip("diffusers")
    scheduler = getattr(diffusers, name)(
        beta_start=1e-4, beta_end=0.02, beta_schedule="linear", algorithm_type="dpmsolver++", solver_order=2,
        solver_type="midpoint", lower_order_final=False, final_sigmas_type="sigma_min",
    ) if name == "DPMSolverMultistepScheduler" else diffusers.DPMSolverMultistepInverseScheduler(
        beta_start=1e-4, beta_end=0.02, beta_schedule="linear", algorithm_type="dpmsolver++", solver_order=2,
        solver_type="midpoint", lower_order_final=False,
    )  # fmt: skip
    scheduler.set_timesteps(8)
    process = Gaussian(path=VPLinear(), prediction=Eps())
    g = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, generator=g, dtype=torch.float64)
    ours, theirs, memory = x, x, {}
    times = [(int(t) + 1) / 1000 for t in scheduler.timesteps]
    for index in range(len(times) - 1):
        noise = torch.randn(3, 4, generator=g, dtype=torch.float64)
        theirs = scheduler.step(noise, scheduler.timesteps[index], theirs).prev_sample
        at = Moment(process=process, evaluate=Fixed(process, noise), step=steps(3), memory=memory)  # type: ignore[arg-type]
        t, s = (torch.full((3,), v, dtype=torch.float64) for v in times[index : index + 2])
        ours = DPMSolver2M().move(ours, t, s, at)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)

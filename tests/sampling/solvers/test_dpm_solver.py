import pytest
import torch
from sampling_fakes import GaussianDenoiser, flow_error, order_of, steps

from frisket.processes.gaussian import Gaussian
from frisket.processes.paths import Flow, VPContinuous
from frisket.sampling.grids import Repaint, Rho
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.dpm_solver import DPMSolver2M


@pytest.mark.parametrize("path", [Flow(), VPContinuous()])
def test_order_two_in_log_snr(path):
    grid = Rho(low=0.05, high=50.0, rho=7.0)
    assert order_of(Gaussian(path=path), DPMSolver2M(), 32, grid, before_last=True) == pytest.approx(2.0, abs=0.35)


def test_nearer_than_ddim_at_equal_forwards():
    process, grid = Gaussian(path=VPContinuous()), Rho(low=0.05, high=50.0)
    errors = [flow_error(process, u, 20, grid, before_last=True) for u in (DPMSolver2M(), DDIM())]
    assert errors[0] < errors[1] / 4


def test_first_and_last_moves_are_ddim():
    process = Gaussian()  # alpha(1) = 0 and sigma(0) = 0: both ends are infinite in log SNR
    runs = [
        list(Sampler(steps=n, update=u).run(GaussianDenoiser(process), process, shape=(2,), step=steps(3)))
        for u in (DPMSolver2M(), DDIM()) for n in (1, 4)
    ]  # fmt: skip
    torch.testing.assert_close(runs[0][-1].x, runs[2][-1].x)
    torch.testing.assert_close(runs[1][1].x, runs[3][1].x)
    torch.testing.assert_close(runs[1][-1].x, runs[1][-1].estimate.x0)
    assert all(torch.isfinite(shot.x).all() for run in runs for shot in run)


def test_a_move_up_makes_it_forget():
    process = Gaussian()
    sampler = Sampler(steps=6, update=DPMSolver2M(), grid=Repaint(jump=3, resamples=2))
    for shot in sampler.run(GaussianDenoiser(process, std=0.0), process, shape=(2,), step=steps(3)):
        last = shot
    torch.testing.assert_close(last.x, torch.full_like(last.x, 1.5), rtol=0, atol=1e-5)

import pytest
import torch
from sampling_fakes import GaussianDenoiser, order_of, steps

from frisket.core import FrisketError
from frisket.processes.gaussian import Gaussian
from frisket.processes.paths import Flow, VPContinuous, VPLinear
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.euler import Euler


@pytest.mark.parametrize("path", [Flow(), VPContinuous()])
def test_order_one(path):
    assert order_of(Gaussian(path=path), DDIM(), 64) == pytest.approx(1.0, abs=0.15)


def test_without_eta_no_noise_is_drawn():
    process = Gaussian(path=VPLinear())
    shots = [
        list(Sampler(steps=6, update=DDIM(eta=eta)).run(GaussianDenoiser(process), process, shape=(2,), step=steps(3)))
        for eta in (0.0, 0.0, 0.5)
    ]
    assert torch.equal(shots[0][-1].x, shots[1][-1].x)
    assert torch.equal(shots[0][0].x, shots[2][0].x)
    assert not torch.allclose(shots[0][-1].x, shots[2][-1].x)


def test_is_euler_on_the_straight_path():
    process = Gaussian(path=Flow())
    a, b = (
        Sampler(steps=7, update=u).sample(GaussianDenoiser(process), process, shape=(2,), step=steps(3))
        for u in (DDIM(), Euler())
    )
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("path", [Flow(), VPLinear()])
def test_eta_one_is_the_ancestral_step_with_the_same_noise(path):
    process = Gaussian(path=path)
    a, b = (
        Sampler(steps=9, update=u).sample(GaussianDenoiser(process), process, shape=(2,), step=steps(8))
        for u in (DDIM(eta=1.0), Ancestral())
    )
    torch.testing.assert_close(a, b, rtol=0, atol=2e-5)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_last_move_gives_x0(eta):
    process = Gaussian(path=VPLinear())
    *_, last = Sampler(steps=3, update=DDIM(eta=eta)).run(GaussianDenoiser(process), process, shape=(2,), step=steps(4))
    assert torch.equal(last.x, last.estimate.x0)


def test_eta_outside_its_range():
    with pytest.raises(FrisketError, match=r"solver\.eta = 1\.5"):
        DDIM(eta=1.5)

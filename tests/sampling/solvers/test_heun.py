import pytest
from sampling_fakes import GaussianDenoiser, order_of, steps

from frisket.processes.gaussian import Gaussian
from frisket.processes.paths import Flow, Trigonometric, VPContinuous
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.heun import Heun


@pytest.mark.parametrize("path", [Flow(), Trigonometric(), VPContinuous()])
def test_order_two(path):
    assert order_of(Gaussian(path=path), Heun(), 32) == pytest.approx(2.0, abs=0.25)


def test_two_forwards_a_move_and_one_in_the_last():
    process = Gaussian()
    model = GaussianDenoiser(process)
    Sampler(steps=5, update=Heun()).sample(model, process, shape=(1,), step=steps(3))
    assert model.rows == 3 * (2 * 5 - 1)

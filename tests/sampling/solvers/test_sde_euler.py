import pytest
import torch
from sampling_fakes import GaussianDenoiser, steps

from frisket.core import FrisketError
from frisket.processes.gaussian import Gaussian
from frisket.processes.levels import VE
from frisket.processes.paths import Flow, VPContinuous
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.euler import Euler
from frisket.sampling.solvers.sde_euler import SDEEuler


@pytest.mark.parametrize("churn", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("path", [Flow(), VPContinuous(), VE(sigma_max=10.0)])
def test_every_churn_keeps_the_data_distribution(path, churn):
    process = Gaussian(path=path)
    x = Sampler(steps=100, update=SDEEuler(churn=churn)).sample(
        GaussianDenoiser(process), process, shape=(60,), step=steps(40)
    )
    assert float(x.mean()) == pytest.approx(1.5, abs=0.06)
    assert float(x.std()) == pytest.approx(0.5, abs=0.05)


def test_no_churn_is_euler():
    process = Gaussian()
    a, b = (
        Sampler(steps=7, update=u).sample(GaussianDenoiser(process), process, shape=(2,), step=steps(3))
        for u in (SDEEuler(churn=0.0), Euler())
    )
    torch.testing.assert_close(a, b)


def test_negative_churn():
    with pytest.raises(FrisketError, match="churn"):
        SDEEuler(churn=-1.0)

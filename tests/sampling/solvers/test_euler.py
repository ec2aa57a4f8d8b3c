import pytest
import torch
from sampling_fakes import GaussianDenoiser, flow_solution, order_of, steps

from frisket.core import FrisketError
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked import Masked
from frisket.processes.paths import Flow, Trigonometric, VPContinuous
from frisket.sampling.base import Start
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.euler import Euler


@pytest.mark.parametrize("path", [Flow(), Trigonometric(), VPContinuous()])
def test_order_one(path):
    assert order_of(Gaussian(path=path), Euler(), 64) == pytest.approx(1.0, abs=0.15)


def test_one_move_on_the_straight_path_is_the_estimate_of_x0():
    process = Gaussian()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = Sampler(steps=1).sample(
        GaussianDenoiser(process), process, shape=(3,), step=steps(5), start=Start(x=x, t=1.0)
    )
    torch.testing.assert_close(out, torch.full_like(x, 1.5))  # at t = 1 nothing is known of x0 but its mean


def test_a_point_mass_is_reached_exactly_in_any_number_of_moves():
    process = Gaussian()
    model = GaussianDenoiser(process, std=0.0)
    for n in (1, 3, 10):
        out = Sampler(steps=n).sample(model, process, shape=(2,), step=steps(4))
        torch.testing.assert_close(out, torch.full_like(out, 1.5), rtol=0, atol=2e-6)


def test_a_later_start_ends_at_the_same_quantile():
    process = Gaussian()
    x = torch.linspace(-1, 2, 7, dtype=torch.float64)[:, None]
    out = Sampler(steps=400).sample(
        GaussianDenoiser(process), process, shape=(1,), step=steps(7), start=Start(x=x, t=0.5)
    )
    torch.testing.assert_close(out, flow_solution(process, x, 0.5, 0.0), rtol=0, atol=5e-3)


def test_ids_are_refused():
    with pytest.raises(FrisketError, match="decoder"):
        Sampler(steps=1).sample(lambda *a: None, Masked(vocabulary=3), shape=(4,), step=steps(2))

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.processes.gaussian import Gaussian
from frisket.processes.levels import VE
from frisket.processes.masked import Masked
from frisket.processes.paths import Flow, VPLinear
from frisket.sampling.grids import Cosine, Last, Power, Repaint, Respaced, Rho, Rounds, Shifted, Uniform

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("grid", [Uniform(), Shifted(), Power(), Cosine(), Rho(), Respaced(), Last(last=0.001)])
@given(n=st.integers(2, 200))
def test_grids_fall_from_one_to_zero(grid, n):
    times = grid.times(n, Gaussian())
    assert times.shape == (n + 1,)
    assert bool((times.diff() < 0).all())
    assert float(times[-1]) == 0.0
    assert 0.9 < float(times[0]) <= 1.0


def test_values():
    assert Uniform().times(4, Gaussian()).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert Power().times(2, Gaussian()).tolist() == [1.0, 0.25, 0.0]
    assert Shifted(shift=3.0).times(2, Gaussian()).tolist() == [1.0, 0.75, 0.0]
    assert float(Cosine().times(3, Gaussian())[2]) == pytest.approx(0.5)


def test_shift_one_is_uniform():
    torch.testing.assert_close(Shifted(shift=1.0).times(7, Gaussian()), Uniform().times(7, Gaussian()))


def test_rho_has_the_published_noise_levels():
    times = Rho(low=0.002, high=80.0, rho=7.0).times(18, Gaussian(path=Flow()))
    i = np.arange(18)
    levels = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose((times[:-1] / (1 - times[:-1])).numpy(), levels, rtol=1e-9)


def test_rho_on_the_path_of_the_same_law_is_uniform():
    path = VE(sigma_min=0.002, sigma_max=80.0, rho=7.0)
    times = Rho().times(11, Gaussian(path=path))
    torch.testing.assert_close(times[:-1].diff(), times[:-1].diff().mean().expand(10), rtol=1e-6, atol=0)


def test_respaced_against_the_official_map():
    wanted = np.load(GOLDEN / "dit_respaced.npz")["timestep_map"].tolist()
    times = Respaced().times(6, Gaussian(path=VPLinear()))
    assert (times[:-1].flip(0) * 1000 - 1).round().int().tolist() == wanted


def test_respaced_sections():
    assert Respaced(steps_trained=300).indices((10, 15, 20))[:3] == [0, 11, 22]
    assert len(set(Respaced(steps_trained=300).indices((10, 15, 20)))) == 45
    assert Respaced().indices((1000,)) == list(range(1000))
    assert Respaced(steps_trained=10).indices((1,)) == [0]


def test_rounds():
    assert Rounds(level=0.5).times(2, Gaussian()).tolist() == [0.5, 0.25, 0.0]
    assert Rounds(level=0.8, rounds=3).times(1, Masked()).tolist() == [0.8, 0.0] * 3
    squared = Rounds(level=1.0, base=Power()).times(4, Gaussian())
    assert torch.equal(squared, Power().times(4, Gaussian()))


def test_repaint():
    times = Repaint(jump=2, resamples=2).times(4, Gaussian())
    assert times.tolist() == [1.0, 0.75, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0, 0.5, 0.25, 0.0]
    assert Repaint(jump=3, resamples=1).times(4, Gaussian()).tolist() == Uniform().times(4, Gaussian()).tolist()


@given(jump=st.integers(1, 7), resamples=st.integers(1, 4), n=st.integers(1, 20))
def test_repaint_goes_down_resamples_times_as_often(jump, resamples, n):
    times = Repaint(jump=jump, resamples=resamples).times(n, Gaussian())
    moves = times.diff()
    assert int((moves < 0).sum()) == n * resamples
    assert bool((moves != 0).all())
    assert float(times[-1]) == 0.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Shifted(shift=0.0), lambda: Power(power=-1.0), lambda: Rho(low=1.0, high=0.5),
        lambda: Repaint(jump=0), lambda: Respaced(counts=(3, 4)).times(8, Gaussian()),
        lambda: Rounds(level=0.0), lambda: Rounds(rounds=0),
        lambda: Respaced(steps_trained=5).times(6, Gaussian()), lambda: Rho().times(1, Gaussian()),
    ],
)  # fmt: skip
def test_ranges(make):
    with pytest.raises(FrisketError):
        make()


def test_a_last_move_of_its_own_length():
    times = Last(last=0.04).times(250, Gaussian())
    torch.testing.assert_close(times[:-1], torch.linspace(1.0, 0.04, 250, dtype=torch.float64))
    assert Last().times(1, Gaussian()).tolist() == [1.0, 0.0]
    with pytest.raises(FrisketError, match=r"grid\.last"):
        Last(last=1.0)


def test_a_shift_of_another_grid_starts_at_one_exactly():
    base = Last(last=0.04)
    for shift in (0.0884, 0.433, 2**0.5, 3.0):
        found = Shifted(shift=shift, base=base).times(5, Gaussian())
        u = base.times(5, Gaussian())
        torch.testing.assert_close(found, shift * u / (1 + (shift - 1) * u))
        assert float(found[0]) == 1.0
        assert float(found[-1]) == 0.0

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, from_config, lookup, names, to_config
from frisket.processes.densities import Cosine, LogitNormal, LogNormal, Steps, TruncatedNormal, Uniform
from frisket.processes.levels import VE
from frisket.processes.paths import Flow

GRID = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000


@pytest.mark.parametrize("name", names("density"))
@settings(max_examples=8, deadline=None)
@given(u=st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=20))
def test_quantiles_rise_and_stay_inside(name, u):
    t = lookup(name)().quantile(torch.tensor(sorted(u), dtype=torch.float64), VE())
    assert (t.diff() >= 0).all()
    assert ((t >= 0) & (t <= 1)).all()
    assert torch.isfinite(t).all()


def test_uniform_keeps_its_floor():
    t = Uniform(floor=1e-3).quantile(torch.tensor([0.0, 0.5]))
    assert torch.allclose(t, torch.tensor([1e-3, 1e-3 + 0.999 * 0.5], dtype=torch.float64))


def test_logit_normal_has_its_moments():
    logit = torch.logit(LogitNormal(mean=0.4, std=0.8).quantile(GRID))
    assert float(logit.mean()) == pytest.approx(0.4, abs=1e-3)
    assert float(logit.std()) == pytest.approx(0.8, abs=5e-3)


@pytest.mark.parametrize("path", [VE(), Flow()])
def test_log_normal_has_its_moments_on_any_path(path):
    level = -path.log_snr(LogNormal().quantile(GRID, path)) / 2
    assert float(level.mean()) == pytest.approx(-1.2, abs=2e-3)
    assert float(level.std()) == pytest.approx(1.2, abs=1e-2)


def test_steps_fall_on_the_grid_evenly():
    t = Steps(steps=8).quantile(GRID)
    values, counts = t.unique(return_counts=True)
    assert torch.allclose(values, torch.arange(1, 9) / torch.tensor(8.0, dtype=torch.float64))
    assert (counts == 500).all()


def test_log_normal_without_a_path_is_refused():
    with pytest.raises(FrisketError, match="masked"):
        LogNormal().quantile(GRID)


@pytest.mark.parametrize("name", names("density"))
def test_round_trip(name):
    density = lookup(name)()
    assert from_config(to_config(density)) == density


def test_bad_floor_is_named():
    with pytest.raises(FrisketError, match=r"density\.floor"):
        Uniform(floor=1.0)


def test_the_truncated_normal_is_scipys():
    from scipy.stats import truncnorm

    u = torch.linspace(0, 0.999, 50, dtype=torch.float64)
    wanted = truncnorm((0.7 - 1.0) / 0.25, 0, loc=1.0, scale=0.25).ppf(u.numpy())
    assert torch.allclose(TruncatedNormal().quantile(u), torch.from_numpy(wanted), atol=1e-9)
    with pytest.raises(FrisketError, match="low, high"):
        TruncatedNormal(low=0.9, high=0.8)


def test_the_cosine_share_never_falls_and_is_the_cosine_of_a_uniform_number():
    u = torch.linspace(0, 1, 21, dtype=torch.float64)
    share = Cosine().quantile(u)
    assert bool((share.diff() > 0).all())
    assert torch.allclose(share, torch.cos(torch.pi / 2 * u.flip(0)), atol=1e-12)

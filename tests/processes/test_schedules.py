from pathlib import Path as File

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, from_config, lookup, names, to_config
from frisket.processes.schedules import (
    Arccos,
    Cosine,
    CosineVisible,
    Exponential,
    Geometric,
    Linear,
    LogLinear,
    Polynomial,
    Shrunk,
    SquaredCosine,
)  # fmt: skip

GOLDEN = {
    k: torch.from_numpy(v)
    for k, v in np.load(File(__file__).parents[1] / "golden" / "mdlm.npz", allow_pickle=False).items()
}
ALL = names("schedule")
OFFICIAL = {
    "loglinear": LogLinear(), "cosine": CosineVisible(), "cosinesqr": SquaredCosine(), "linear": Exponential(),
    "geometric": Geometric(sigma_min=1e-3, sigma_max=1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", OFFICIAL)
def test_hidden_and_weight_are_those_of_the_official_code(name):
    t = GOLDEN["t"]
    assert torch.allclose(OFFICIAL[name].hidden(t).float(), GOLDEN[f"{name}_hidden"], rtol=1e-3, atol=1e-6)
    # at small t the official float32 exp(-sigma) of the cosines cancels; there the closed form is ours
    rows = OFFICIAL[name].hidden(t) > 1e-4
    assert torch.allclose(OFFICIAL[name].weight(t).float()[rows], GOLDEN[f"{name}_weight"][rows], rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_rises_between_its_ends(name):
    schedule = lookup(name)()
    m = schedule.hidden(torch.linspace(0, 1, 301, dtype=torch.float64))
    assert (m.diff() >= 0).all()
    assert 0 <= float(m[0]) <= 2e-3
    assert 0.99 <= float(m[-1]) <= 1
    assert torch.isfinite(schedule.weight(torch.tensor([0.0, 1.0]))).all()
    assert torch.isfinite(schedule.log_snr(torch.tensor([0.0, 1.0]))).all()


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=6, deadline=None)
@given(t=st.floats(0.01, 0.95))
def test_rate_is_the_derivative_and_time_the_inverse(name, t):
    schedule, h = lookup(name)(), 1e-6
    t = torch.tensor([t], dtype=torch.float64)
    slope = (schedule.hidden(t + h) - schedule.hidden(t - h)) / (2 * h)
    assert torch.allclose(schedule.rate(t), slope, rtol=1e-5, atol=1e-8)
    assert torch.allclose(schedule.hidden(schedule.time(schedule.hidden(t))), schedule.hidden(t), atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_bound_of_a_uniform_model_depends_on_the_ends_only(name):
    """E of weight times the hidden share is the integral of m', so every schedule has m(1) - m(0) log k an element. Taken
    over the root of t, because a rate may be infinite at 0, and from where t is raised to."""
    schedule, n = lookup(name)(), 200_000
    root = 1e-3 + (1 - 1e-3) * (torch.arange(n, dtype=torch.float64) + 0.5) / n
    got = (2 * root * (1 - 1e-3) * schedule.weight(root**2) * schedule.hidden(root**2)).mean()
    ends = schedule.hidden(torch.tensor([1e-6, 1.0], dtype=torch.float64))
    assert float(got) == pytest.approx(float(ends[1] - ends[0]), rel=1e-5)


def test_closed_forms():
    t = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    assert torch.allclose(LogLinear().weight(t) * t, torch.ones_like(t))
    assert torch.allclose(Polynomial(power=3.0).weight(t), 3 / t)
    assert torch.allclose(Cosine().hidden(t), torch.cos(torch.pi / 2 * (1 - t)))
    assert torch.allclose(Shrunk(eps=0.01).hidden(t), 0.98 * t + 0.01)
    assert torch.allclose(LogLinear().total(t), -torch.log1p(-0.999 * t))
    assert torch.allclose(Linear().log_snr(t), torch.log((1 - t) / t))


@pytest.mark.parametrize("name", ALL)
def test_round_trip(name):
    schedule = lookup(name)()
    assert from_config(to_config(schedule)) == schedule


def test_bad_values_are_named():
    with pytest.raises(FrisketError, match=r"schedule\.power"):
        Polynomial(power=0.0)
    with pytest.raises(FrisketError, match="sigma_min"):
        Geometric(sigma_min=2.0, sigma_max=1.0)


def test_arccos_is_maskbits_share():
    r = torch.rand(20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(Arccos().hidden(1 - r), torch.acos(r) / (torch.pi / 2))
    t, h = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64), 1e-6
    slope = (Arccos().hidden(t + h) - Arccos().hidden(t - h)) / (2 * h)
    assert torch.allclose(Arccos().rate(t), slope, rtol=1e-5)

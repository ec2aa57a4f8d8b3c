import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, from_config, lookup, names, to_config
from frisket.processes.levels import VE
from frisket.processes.paths import Flow, VPLinear
from frisket.processes.predictions import X0, Eps, Preconditioned, V, Velocity, target
from frisket.processes.weights import EDMWeight, Like, Likelihood, MinSNR, TruncatedSNR


@pytest.mark.parametrize("weight", names("weight"))
def test_finite_and_not_negative_everywhere(weight):
    t = torch.tensor([0.0, 1e-6, 1e-3, 0.3, 0.7, 0.999, 1.0])
    for path in names("path"):
        level = lookup(path)().level(t).like(t)
        for kind in names("prediction"):
            out = lookup(weight)().on(lookup(kind)(), level)
            assert torch.isfinite(out).all(), (path, kind)
            assert (out >= 0).all(), (path, kind)


@pytest.mark.parametrize("weight", [MinSNR(), TruncatedSNR(), EDMWeight(), Likelihood(), Like(prediction=V())])
@settings(max_examples=15, deadline=None)
@given(t=st.floats(0.05, 0.95))
def test_the_loss_does_not_depend_on_the_kind_of_prediction(weight, t):
    """The same estimate of x0, put as any prediction, has the same weighted loss."""
    t = torch.tensor([t], dtype=torch.float64)
    gen = torch.Generator().manual_seed(0)
    x0, noise, other = (torch.randn(1, 6, generator=gen, dtype=torch.float64) for _ in range(3))
    level = VPLinear().level(t).like(x0)
    x = level.alpha * x0 + level.sigma * noise
    guess = (x - level.alpha * other) / level.sigma  # the noise that goes with the estimate `other`
    losses = []
    for kind in (lookup(n)() for n in names("prediction")):
        error = (target(kind, other, guess, level) - target(kind, x0, noise, level)) ** 2
        losses.append((weight.on(kind, level) * error).mean())
    assert torch.allclose(torch.stack(losses), losses[0].expand(len(losses)), rtol=1e-6)


def test_published_forms():
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    level = VPLinear().level(t)
    snr = (level.alpha / level.sigma) ** 2
    assert torch.allclose(MinSNR().on(Eps(), level), snr.clamp(max=5) / snr)
    assert torch.allclose(MinSNR().on(V(), level), snr.clamp(max=5) / (snr + 1))
    assert torch.allclose(MinSNR().on(X0(), level), snr.clamp(max=5))
    assert torch.allclose(TruncatedSNR().on(X0(), level), snr.clamp(min=1))
    flow = Flow().level(t)
    assert torch.allclose(Like().on(X0(), flow), t**-2)
    assert torch.allclose(Like().on(Velocity(), flow), torch.ones_like(t))
    ve = VE().level(t)
    s = ve.sigma
    assert torch.allclose(EDMWeight().on(Preconditioned(), ve), torch.ones_like(t))
    wanted = (s**2 + 0.25) / (0.5 * s) ** 2
    assert torch.allclose(EDMWeight().on(X0(), ve), wanted)


@pytest.mark.parametrize("name", names("weight"))
def test_round_trip(name):
    weight = lookup(name)()
    assert from_config(to_config(weight)) == weight


def test_bad_gamma_is_named():
    with pytest.raises(FrisketError, match=r"weight\.gamma"):
        MinSNR(gamma=0.0)

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, lookup, names
from frisket.processes.levels import VE
from frisket.processes.paths import Flow, VPLinear
from frisket.processes.predictions import Preconditioned, V, Velocity, VelocityToData, determinant, target

STATES = torch.Generator().manual_seed(0)
X0 = torch.randn(1, 2, 5, generator=STATES, dtype=torch.float64)
NOISE = torch.randn(1, 2, 5, generator=STATES, dtype=torch.float64)


@pytest.mark.parametrize("path", names("path"))
@settings(max_examples=25, deadline=None)
@given(t=st.floats(0.02, 0.98), kind=st.sampled_from(names("prediction")))
def test_split_inverts_target(path, kind, t):
    kind = lookup(kind)()
    level = lookup(path)().level(torch.tensor([t], dtype=torch.float64)).like(X0)
    x = level.alpha * X0 + level.sigma * NOISE
    x0, noise = kind.split(target(kind, X0, NOISE, level), x, level)
    assert torch.allclose(x0, X0, atol=1e-6)
    # a level below FLOOR makes the noise of an x0 prediction smaller, never wrong in sign
    share = (level.sigma / level.sigma.clamp(min=1e-3)).item()
    assert torch.allclose(noise, share * NOISE if share < 1 else NOISE, atol=1e-6)


@pytest.mark.parametrize("path", names("path"))
@pytest.mark.parametrize("kind", names("prediction"))
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_both_ends_are_finite(path, kind, t):
    kind = lookup(kind)()
    x = X0.float() if t == 0 else NOISE.float()
    level = lookup(path)().level(torch.tensor([t])).like(x)
    x = level.alpha * X0.float() + level.sigma * NOISE.float()
    x0, noise = kind.split(target(kind, X0.float(), NOISE.float(), level), x, level)
    assert torch.isfinite(x0).all()
    assert torch.isfinite(noise).all()
    if t == 0:
        assert torch.allclose(x0, X0.float(), atol=2e-3)


@pytest.mark.parametrize("kind", [V(), Velocity(), VelocityToData(), Preconditioned()])
@pytest.mark.parametrize("t", [0.0, 1.0])
def test_well_conditioned_kinds_are_exact_at_the_ends_of_the_straight_path(kind, t):
    level = Flow().level(torch.tensor([t])).like(X0)
    x = level.alpha * X0 + level.sigma * NOISE
    x0, noise = kind.split(target(kind, X0, NOISE, level), x, level)
    assert torch.allclose(x0, X0)
    assert torch.allclose(noise, NOISE)


def test_meaning_of_the_kinds_on_the_straight_path():
    level = Flow().level(torch.tensor([0.3])).like(X0)
    assert torch.allclose(target(Velocity(), X0, NOISE, level), NOISE - X0)
    assert torch.allclose(target(VelocityToData(), X0, NOISE, level), X0 - NOISE)
    assert torch.allclose(target(lookup("prediction/score")(), X0, NOISE, level), -NOISE / 0.3)
    vp = VPLinear().level(torch.tensor([0.3])).like(X0)
    assert torch.allclose(target(V(), X0, NOISE, vp), vp.alpha * NOISE - vp.sigma * X0)
    assert torch.allclose(determinant(V(), vp), torch.ones(1, dtype=torch.float64))


@settings(max_examples=8, deadline=None)
@given(sigma=st.floats(0.01, 70), data=st.floats(0.1, 2))
def test_preconditioning_is_the_published_table(sigma, data):
    path = VE()
    t = path.time(torch.tensor([-2.0]).double() * torch.tensor(sigma).double().log())
    level = path.level(t).like(X0)
    s = level.sigma
    x = X0 + s * NOISE
    out = torch.randn(X0.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    skip, c_out = data**2 / (s**2 + data**2), s * data / (s**2 + data**2).sqrt()
    x0, _ = Preconditioned(data=data).split(out, x, level)
    assert torch.allclose(x0, skip * x + c_out * out, atol=1e-9)


def test_bad_data_deviation_is_named():
    with pytest.raises(FrisketError, match=r"prediction\.data"):
        Preconditioned(data=0.0)

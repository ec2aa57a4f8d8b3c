import math
from pathlib import Path as File

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, Output
from frisket.processes import Estimate, Gaussian
from frisket.processes.levels import VE
from frisket.processes.model_times import Thousand
from frisket.processes.paths import Flow, VPLinear
from frisket.processes.predictions import Eps
from frisket.processes.variances import FixedLarge, FixedSmall, LearnedRange, Moments, kl_bits, nll_bits

FOLDER = File(__file__).parents[1] / "golden"
TRAIN = {k: torch.from_numpy(v) for k, v in np.load(FOLDER / "dit_training.npz", allow_pickle=False).items()}
SPACED = {k: torch.from_numpy(v) for k, v in np.load(FOLDER / "dit_respaced.npz", allow_pickle=False).items()}
DIT = Gaussian(path=VPLinear(), prediction=Eps(), variance=LearnedRange(), time=Thousand())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_training_terms_are_those_of_the_official_code(dtype):
    t = ((TRAIN["index"] + 1).double() / 1000).to(dtype)
    c = DIT.corrupt(TRAIN["x0"], t, TRAIN["noise"])
    assert torch.allclose(c.x_t, TRAIN["x_t"], atol=1e-6)
    terms = DIT.loss(Output(TRAIN["pred"]), c)
    assert torch.allclose(terms["denoise"], TRAIN["mse"], atol=1e-6)
    assert torch.allclose(terms["vlb"], TRAIN["vb"], rtol=2e-4, atol=1e-7)
    assert torch.allclose(DIT.model_time(t), TRAIN["index"].float(), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "variance"), [("learned", LearnedRange()), ("large", FixedLarge()), ("small", FixedSmall())]
)
def test_respaced_steps_are_those_of_the_official_code(name, variance):
    process = Gaussian(path=VPLinear(), prediction=Eps(), variance=variance)
    grid = (SPACED["timestep_map"] + 1).double() / 1000
    t, s = grid, torch.cat([torch.zeros(1, dtype=torch.float64), grid[:-1]])
    pred = SPACED["pred"] if name == "learned" else SPACED["pred"][:, :2]
    estimate = process.estimate(Output(pred), SPACED["x_t"], t)
    mean, log_variance = process.posterior(SPACED["x_t"], estimate, t, s)
    close = {"rtol": 1e-4, "atol": 1e-5}
    assert torch.allclose(estimate.x0, SPACED[f"{name}_x0"], **close)
    assert torch.allclose(mean, SPACED[f"{name}_mean"], **close)
    wanted = SPACED[f"{name}_log_variance"]
    # the step to s = 0 adds no noise; its official entry borrows the next kept step, ours the step before it
    assert torch.allclose(log_variance.expand_as(wanted)[1:], wanted[1:], **close)


def test_learned_range_ends_are_the_fixed_ones():
    x = torch.zeros(2, 1, 3)
    t, s = torch.tensor([0.5, 0.9]), torch.tensor([0.4, 0.85])
    moments = DIT.moments(x, x, t, s)
    for v, fixed in ((-1.0, FixedSmall()), (1.0, FixedLarge())):
        _, fraction = LearnedRange().split(torch.cat([x, torch.full_like(x, v)], 1), x)
        ours = LearnedRange().log_variance(moments, fraction)
        assert torch.allclose(ours, fixed.log_variance(moments, None).expand_as(ours))


def test_the_bound_does_not_move_the_mean():
    pred = TRAIN["pred"].clone().requires_grad_(True)
    c = DIT.corrupt(TRAIN["x0"], (TRAIN["index"] + 1).double() / 1000, TRAIN["noise"])
    DIT.loss(Output(pred), c)["vlb"].sum().backward()
    assert pred.grad[:, :2].abs().max() == 0
    assert pred.grad[:, 2:].abs().max() > 0


@settings(max_examples=30, deadline=None)
@given(m1=st.floats(-2, 2), m2=st.floats(-2, 2), l1=st.floats(-3, 3), l2=st.floats(-3, 3))
def test_kl_is_torchs(m1, m2, l1, l2):
    values = [torch.tensor([v], dtype=torch.float64) for v in (m1, l1, m2, l2)]
    p, q = (torch.distributions.Normal(m, (v / 2).exp()) for m, v in (values[:2], values[2:]))
    assert torch.allclose(kl_bits(*values) * math.log(2), torch.distributions.kl_divergence(p, q), atol=1e-9)


def test_cells_of_the_discretised_normal_sum_to_one():
    x = torch.linspace(-1, 1, 256, dtype=torch.float64)
    for mean, log_variance in ((0.1, -4.0), (-0.9, -2.0), (0.0, 0.5)):
        bits = nll_bits(x, torch.full_like(x, mean), torch.full_like(x, log_variance))
        assert float((2**-bits).sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("path", [VPLinear(), Flow(), VE()])
def test_posterior_and_marginal_agree(path):
    """Mean and variance of x_s through x_t are those of corrupting to s, given x0."""
    process = Gaussian(path=path)
    gen = torch.Generator().manual_seed(0)
    x0 = torch.full((1, 1, 200_000), 0.7, dtype=torch.float64)
    t, s = torch.tensor([0.8], dtype=torch.float64), torch.tensor([0.55], dtype=torch.float64)
    x = process.corrupt(x0, t, torch.randn(x0.shape, generator=gen, dtype=torch.float64)).x_t
    mean, log_variance = process.posterior(x, Estimate(x0=x0, noise=x0), t, s)
    there = mean + (log_variance / 2).exp() * torch.randn(x0.shape, generator=gen, dtype=torch.float64)
    level = path.level(s)
    assert float((there.mean() - level.alpha * 0.7) / level.sigma) == pytest.approx(0, abs=0.01)
    assert float(there.std() / level.sigma) == pytest.approx(1, abs=0.01)


def test_wrong_shapes_and_missing_variance_are_named():
    x = torch.zeros(2, 3, 4)
    with pytest.raises(FrisketError, match=r"\(2, 6, 4\)"):
        LearnedRange().split(x, x)
    with pytest.raises(FrisketError, match="shape"):
        FixedSmall().split(torch.zeros(2, 6, 4), x)
    with pytest.raises(FrisketError, match=r"estimate\.variance"):
        LearnedRange().log_variance(Moments(mean=x, lower=x, upper=x, final=x > 0), None)
    with pytest.raises(FrisketError, match=r"variance\.steps"):
        LearnedRange(steps=1)

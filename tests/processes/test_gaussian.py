from pathlib import Path as File

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, Output, Step, from_config, names, override, to_config
from frisket.processes import Estimate, Gaussian, Known
from frisket.processes.levels import EDM
from frisket.processes.model_times import Reversed
from frisket.processes.paths import Flow, Trigonometric, VPContinuous, VPLinear
from frisket.processes.predictions import Eps, Score, VelocityToData, target
from frisket.processes.weights import Like, Likelihood, MinSNR, NoWeight

SIT = {
    k: torch.from_numpy(v)
    for k, v in np.load(File(__file__).parents[1] / "golden" / "sit_transport.npz", allow_pickle=False).items()
}
SIT_PATHS = {"Linear": Flow(), "GVP": Trigonometric(), "VP": VPContinuous()}
GEN = torch.Generator().manual_seed(0)
X0, NOISE = torch.randn(4, 3, 5, 5, generator=GEN), torch.randn(4, 3, 5, 5, generator=GEN)
T = torch.tensor([0.05, 0.3, 0.6, 0.95])
STEP = Step(seed=1, sample=torch.arange(4))


def combined(path: str, prediction: str) -> Gaussian:
    return override(override(Gaussian(), "path", path), "prediction", prediction)


@pytest.mark.parametrize("path", names("path"))
@pytest.mark.parametrize("prediction", names("prediction"))
def test_the_exact_prediction_has_no_loss_and_gives_the_state_back(path, prediction):
    process = combined(path, prediction)
    c = process.corrupt(X0, T, NOISE)
    exact = target(process.prediction, X0, NOISE, process.level(T, X0))
    assert process.loss(Output(exact), c)["denoise"].abs().max() == 0
    estimate = process.estimate(Output(exact), c.x_t, T)
    assert torch.allclose(estimate.x0, X0, atol=2e-3)
    level = process.level(T, X0)
    # alpha x0 + sigma noise is the state, whatever was predicted
    assert torch.allclose(level.alpha * estimate.x0 + level.sigma * estimate.noise, c.x_t, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("path", names("path"))
def test_one_time_an_element_agrees_with_one_a_sample(path):
    process = combined(path, "eps")
    each = T.reshape(4, 1, 1, 1).expand(4, 1, 5, 5)
    a, b = process.corrupt(X0, T, NOISE), process.corrupt(X0, each, NOISE)
    assert torch.equal(a.x_t, b.x_t)
    out = Output(torch.zeros_like(X0))
    assert torch.allclose(process.loss(out, a)["denoise"], process.loss(out, b)["denoise"])
    assert torch.equal(process.estimate(out, a.x_t, T).x0, process.estimate(out, a.x_t, each).x0)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_known_is_kept_exactly_and_left_out_of_the_loss(seed, share):
    where = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(seed)) < share
    known = Known(values=X0, where=where)
    process = Gaussian(weight=MinSNR())
    c = process.corrupt(X0, T, NOISE, known)
    assert torch.equal(c.x_t[where.expand_as(X0)], X0[where.expand_as(X0)])
    pred = torch.zeros_like(X0)
    loss = process.loss(Output(pred), c)["denoise"]
    changed = process.loss(Output(pred + 100.0 * where), c)["denoise"]
    assert torch.allclose(loss, changed)
    error = process.weight.on(process.prediction, process.level(T, X0)) * (NOISE - X0) ** 2
    for i in range(4):
        open_ = (~where).expand_as(X0)[i]
        wanted = error[i][open_].mean() if open_.any() else torch.tensor(0.0)
        assert torch.allclose(loss[i], wanted, rtol=1e-4)


def test_valid_may_come_with_or_without_channels():
    valid = torch.rand(4, 5, 5, generator=torch.Generator().manual_seed(2)) < 0.5
    process = Gaussian()
    c = process.corrupt(X0, T, NOISE)
    a = process.loss(Output(X0), c, valid)["denoise"]
    assert torch.equal(a, process.loss(Output(X0), c, valid[:, None])["denoise"])
    assert torch.equal(a, process.loss(Output(X0 + 9 * ~valid[:, None]), c, valid)["denoise"])
    assert not torch.allclose(a, process.loss(Output(X0), c)["denoise"])


@pytest.mark.parametrize("path", names("path"))
@settings(max_examples=8, deadline=None)
@given(a=st.floats(0.0, 0.9), b=st.floats(0.05, 0.98))
def test_renoise_has_the_marginal_of_the_later_time(path, a, b):
    """alpha and sigma of renoise(corrupt(t), t -> s) equal those at s: linear in x0 and the two noises."""
    t, s = (torch.tensor([v], dtype=torch.float64) for v in sorted((a, b)))
    process = combined(path, "eps")
    one, zero = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)

    def through(x0, first, second):
        return process.renoise(process.corrupt(x0, t, first).x_t, t, s, second)

    level = process.path.level(s)
    assert torch.allclose(through(one, zero, zero).squeeze(), level.alpha.squeeze())
    variance = through(zero, one, zero) ** 2 + through(zero, zero, one) ** 2
    assert torch.allclose(variance.squeeze(), level.sigma.squeeze() ** 2, atol=1e-9)


@pytest.mark.parametrize("name", SIT_PATHS)
def test_sit_seen_from_here(name):
    """Their t = 1 is data and their velocity points to it: model-time/reversed with prediction/flow-to-data."""
    t, data, noise, out = 1 - SIT["t"].double(), SIT["data"], SIT["noise"], SIT["out"]
    ours = Gaussian(path=SIT_PATHS[name], prediction=VelocityToData(), time=Reversed())
    c = ours.corrupt(data, t, noise)
    close = {"rtol": 2e-3, "atol": 1e-5}
    assert torch.allclose(c.x_t, SIT[f"{name}_xt"], **close)
    assert torch.allclose(ours.model_time(t), SIT["t"])
    assert torch.allclose(target(ours.prediction, data, noise, ours.level(t, data)), SIT[f"{name}_ut"], **close)
    assert torch.allclose(ours.loss(Output(out), c)["denoise"], SIT[f"{name}_velocity_None"], **close)
    estimate = ours.estimate(Output(out), c.x_t, t)
    assert torch.allclose(estimate.noise, SIT[f"{name}_noise_from_velocity"], **close)
    sigma = ours.level(t, data).sigma
    assert torch.allclose(-estimate.noise / sigma, SIT[f"{name}_score_from_velocity"], **close)
    assert torch.allclose(ours.velocity(estimate, c.x_t, t), -out, rtol=1e-3, atol=1e-4)
    for prediction, weight, key in (
        (Eps(), NoWeight(), "noise_None"), (Eps(), Like(), "noise_velocity"),
        (Eps(), Likelihood(), "noise_likelihood"), (Score(), Like(prediction=Eps()), "score_None"),
    ):  # fmt: skip
        process = Gaussian(path=SIT_PATHS[name], prediction=prediction, weight=weight)
        assert torch.allclose(process.loss(Output(out), c)["denoise"], SIT[f"{name}_{key}"], **close), key


def test_shift_moves_times_towards_noise():
    u = torch.linspace(0, 0.999, 50, dtype=torch.float64)
    t = Gaussian(shift=3.0).times(u)
    assert torch.allclose(t, 3 * u / (1 + 2 * u))
    assert (t.diff() > 0).all()
    assert torch.equal(Gaussian().times(u), u)


def test_noise_is_normal_per_sample_and_reproducible():
    process = Gaussian()
    noise = process.noise((3, 5, 5), STEP)
    assert noise.dtype == torch.float32
    assert torch.equal(process.noise((3, 5, 5), STEP.rows(torch.tensor([2])))[0], noise[2])


def test_prior_and_outputs():
    assert torch.equal(Gaussian().prior(NOISE), NOISE)
    edm = Gaussian(path=EDM(data=0.5))
    assert torch.allclose(edm.prior(NOISE), NOISE * 0.5, rtol=1e-4)
    assert Gaussian().outputs(3) == 3
    assert override(Gaussian(), "variance", "learned-range").outputs(3) == 6


def test_round_trip_of_a_full_config():
    process = override(Gaussian(path=VPLinear(), weight=Like(), shift=2.0), "weight.prediction", "v")
    assert from_config(to_config(process)) == process
    assert process.weight.prediction.part_name == "prediction/v"


def test_errors_name_what_is_wrong():
    with pytest.raises(FrisketError, match=r"process\.shift"):
        Gaussian(shift=0.0)
    with pytest.raises(FrisketError, match="shape"):
        Gaussian().loss(Output(torch.zeros(4, 6, 5, 5)), Gaussian().corrupt(X0, T, NOISE))
    with pytest.raises(FrisketError, match=r"estimate\.x0"):
        Gaussian().posterior(X0, Estimate(), T, T / 2)

from pathlib import Path

import numpy as np
import pytest
import torch
from sampling_fakes import GaussianDenoiser, steps

from frisket.core import Output
from frisket.processes.gaussian import Gaussian
from frisket.processes.model_times import Thousand
from frisket.processes.paths import Flow, VPLinear
from frisket.processes.predictions import Eps
from frisket.processes.variances import FixedLarge, FixedSmall, LearnedRange
from frisket.sampling.base import Moment
from frisket.sampling.grids import Respaced
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("path", [Flow(), VPLinear()])
def test_samples_have_the_mean_and_spread_of_the_data(path):
    process = Gaussian(path=path)
    x = Sampler(steps=100, update=Ancestral()).sample(GaussianDenoiser(process), process, shape=(60,), step=steps(40))
    assert float(x.mean()) == pytest.approx(1.5, abs=0.04)
    assert float(x.std()) == pytest.approx(0.5, abs=0.04)


def test_the_last_move_adds_no_noise():
    process = Gaussian()
    *_, last = Sampler(steps=4, update=Ancestral()).run(GaussianDenoiser(process), process, shape=(2,), step=steps(3))
    assert torch.equal(last.x, last.estimate.x0)


@pytest.mark.parametrize(
    ("name", "variance"), [("learned", LearnedRange()), ("large", FixedLarge()), ("small", FixedSmall())]
)
def test_one_respaced_step_against_official_moments(name, variance):
    golden = {k: torch.from_numpy(v) for k, v in np.load(GOLDEN / "dit_respaced.npz").items()}
    process = Gaussian(path=VPLinear(), prediction=Eps(), variance=variance, time=Thousand())
    x, channels = golden["x_t"].float(), golden["x_t"].shape[1]
    pred = golden["pred"].float() if name == "learned" else golden["pred"][:, :channels].float()
    times = Respaced().times(6, process)
    at = times[:-1].flip(0)  # row i of the arrays is at the i-th chosen step, from data to noise
    to = torch.cat([torch.zeros(1, dtype=torch.float64), at[:-1]])
    assert process.model_time(at).tolist() == golden["timestep_map"].tolist()
    step = steps(6)
    moment = Moment(process=process, evaluate=lambda x, t: process.estimate(Output(pred), x, t), step=step)
    moved = Ancestral().move(x, at, to, moment)
    noise = moment.noise(x, "solver")
    spread = torch.exp(golden[f"{name}_log_variance"].float() / 2)
    wanted = golden[f"{name}_mean"].float() + spread * noise * (to > 0).float().reshape(-1, 1, 1, 1)
    torch.testing.assert_close(moved, wanted, rtol=1e-4, atol=1e-4)


def test_temperature_scales_what_a_move_adds():
    process = Gaussian(path=VPLinear())
    cold, warm, plain = (
        Sampler(steps=50, update=update).sample(GaussianDenoiser(process), process, shape=(60,), step=steps(20))
        for update in (Ancestral(temperature=0.0), Ancestral(temperature=1.0), Ancestral())
    )
    assert torch.equal(warm, plain)
    assert float(cold.std()) < 0.6 * float(warm.std())

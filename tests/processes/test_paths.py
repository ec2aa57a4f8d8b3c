from pathlib import Path as File

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, from_config, lookup, names, override, to_config
from frisket.processes.gaussian import Gaussian
from frisket.processes.paths import Cosine, Flow, Sqrt, VPLinear

GOLDEN = np.load(File(__file__).parents[1] / "golden" / "dit_training.npz", allow_pickle=False)
ALL = names("path")
VP = [n for n in ALL if n not in ("path/flow", "path/ve", "path/edm")]
times = st.floats(0, 1).map(lambda t: torch.tensor([t], dtype=torch.float64))


@pytest.mark.parametrize("name", VP)
@settings(max_examples=20, deadline=None)
@given(t=times)
def test_variance_preserved(name, t):
    level = lookup(name)().level(t)
    assert torch.allclose(level.alpha**2 + level.sigma**2, torch.ones(1, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_clean_at_zero_and_noisier_later(name):
    path = lookup(name)()
    t = torch.linspace(0, 1, 501, dtype=torch.float64)
    level = path.level(t)
    assert float(level.alpha[0]) == pytest.approx(1, abs=1e-9)
    assert float(level.sigma[0]) == pytest.approx(0, abs=1e-9)
    assert (path.log_snr(t).diff() < 0).all()
    assert level.alpha[-1] <= 1
    # what is left of the data at t = 1 is small beside the noise
    assert path.log_snr(t)[-1] < -5


@pytest.mark.parametrize("name", ALL)
def test_derivatives_are_those_of_the_coefficients(name):
    path, h = lookup(name)(), 1e-7
    t = torch.tensor([0.1003, 0.3304, 0.5505, 0.8907], dtype=torch.float64)
    level, up, down = path.level(t), path.level(t + h), path.level(t - h)
    assert torch.allclose(level.d_alpha, (up.alpha - down.alpha) / (2 * h), rtol=1e-4, atol=1e-6)
    assert torch.allclose(level.d_sigma, (up.sigma - down.sigma) / (2 * h), rtol=1e-4, atol=1e-6)
    ends = path.level(torch.tensor([0.0, 1.0]))
    assert torch.isfinite(ends.d_sigma).all()
    assert torch.isfinite(ends.d_alpha).all()


@pytest.mark.parametrize("name", ALL)
def test_time_inverts_log_snr(name):
    path = lookup(name)()
    t = torch.linspace(0.01, 0.99, 197, dtype=torch.float64)
    assert torch.allclose(path.time(path.log_snr(t)), t, atol=1e-9)


def test_discrete_steps_are_those_of_the_official_code():
    t = torch.tensor((GOLDEN["index"] + 1) / 1000)
    assert np.allclose((VPLinear().alpha(t) ** 2).numpy(), GOLDEN["abar"], rtol=1e-10)
    assert np.allclose((Cosine().alpha(t) ** 2).numpy(), GOLDEN["cosine_abar"], rtol=1e-10)


def test_sqrt_follows_its_formula():
    t = torch.tensor([0.25, 0.5, 0.9], dtype=torch.float64)
    wanted = (1 - (t + 1e-4).sqrt()) / (1 - 1e-2)
    assert torch.allclose(Sqrt().alpha(t) ** 2, wanted, rtol=1e-9)


def test_linear_betas_for_other_step_counts_keep_the_path():
    t = torch.tensor([0.2, 0.6, 1.0], dtype=torch.float64)
    assert torch.allclose(VPLinear(steps=4000).log_snr(t), VPLinear().log_snr(t), rtol=2e-2)


@pytest.mark.parametrize("name", ALL)
def test_round_trip_and_command_line(name):
    path = lookup(name)()
    assert from_config(to_config(path)) == path
    assert override(Gaussian(path=VPLinear()), "path", name.split("/")[1]).path == path


def test_level_takes_the_shape_and_dtype_of_the_state():
    x = torch.zeros(2, 3, 4, 4)
    level = Flow().level(torch.tensor([0.1, 0.2])).like(x)
    assert level.alpha.shape == (2, 1, 1, 1)
    assert level.alpha.dtype == torch.float32


@pytest.mark.parametrize("build", [lambda: VPLinear(steps=3), lambda: VPLinear(first=0.5, last=0.1)])
def test_bad_values_are_named(build):
    with pytest.raises(FrisketError, match=r"path\."):
        build()

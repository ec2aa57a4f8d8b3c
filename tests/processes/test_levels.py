import pytest
import torch

from frisket.core import FrisketError
from frisket.processes.levels import EDM, VE


def test_equal_steps_above_the_foot_are_the_published_grid():
    path, n = VE(), 18
    i = torch.arange(n, dtype=torch.float64)
    root_max, root_min = 80 ** (1 / 7), 0.002 ** (1 / 7)
    wanted = (root_max + i / (n - 1) * (root_min - root_max)) ** 7
    t = torch.linspace(1, path.foot, n, dtype=torch.float64)
    assert torch.allclose(path.sigma(t), wanted, rtol=1e-9)
    assert torch.allclose(path.sigma(torch.tensor([0.0, path.foot / 2])).float(), torch.tensor([0.0, 0.001]))


def test_edm_is_ve_scaled_by_its_input_factor():
    ve, edm = VE(), EDM(data=0.7)
    t = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(ve.log_snr(t), edm.log_snr(t))
    level = edm.level(t)
    # with data of deviation 0.7 the state has that deviation at every t
    assert torch.allclose((0.7 * level.alpha) ** 2 + level.sigma**2, torch.full_like(t, 0.49))
    c_in = 1 / (ve.sigma(t) ** 2 + 0.49).sqrt()
    assert torch.allclose(level.alpha, 0.7 * c_in)


def test_scale_is_the_last_level():
    assert VE().scale() == 80
    assert EDM().scale() == pytest.approx(float(EDM().sigma(torch.ones(1))), rel=1e-9)


def test_bad_levels_are_named():
    with pytest.raises(FrisketError, match="sigma_min"):
        VE(sigma_min=2.0, sigma_max=1.0)
    with pytest.raises(FrisketError, match="foot"):
        EDM(foot=0.0)

"""The rescaled betas are diffusers', and the end holds no signal."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.processes.zero_terminal import VPZeroTerminal


def test_the_betas_are_those_of_diffusers():
    scheduling = pytest.importorskip("diffusers.schedulers.scheduling_ddim")
    plain = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    wanted = scheduling.rescale_zero_terminal_snr(plain)
    torch.testing.assert_close(torch.tensor(VPZeroTerminal().betas(), dtype=torch.float64), wanted, rtol=0, atol=2e-9)


def test_the_end_is_noise_and_every_level_is_finite():
    level = VPZeroTerminal().level(torch.linspace(0, 1, 2001, dtype=torch.float64))
    assert level.alpha[0] == 1
    assert level.alpha[-1] < 1e-4
    assert all(torch.isfinite(v).all() for v in (level.alpha, level.sigma))
    assert (level.alpha.diff() < 0).all()
    torch.testing.assert_close(level.alpha**2 + level.sigma**2, torch.ones(2001, dtype=torch.float64))


def test_wrong_betas_are_refused():
    with pytest.raises(FrisketError, match="path.first"):
        VPZeroTerminal(first=0.5, last=0.1)

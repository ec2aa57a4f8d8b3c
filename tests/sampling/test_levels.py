import pytest
import torch

from frisket.core import FrisketError
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked import Masked
from frisket.processes.paths import Flow, VPContinuous, VPLinear
from frisket.sampling.levels import gaussian, level, time_of_ratio


@pytest.mark.parametrize("path", [Flow(), VPContinuous(), VPLinear()])
def test_time_of_ratio_inverts_the_path(path):
    t = torch.tensor([0.05, 0.3, 0.7, 0.95], dtype=torch.float64)
    at = path.level(t)
    torch.testing.assert_close(time_of_ratio(Gaussian(path=path), at.sigma / at.alpha), t)


def test_a_ratio_out_of_reach_is_the_end():
    assert float(time_of_ratio(Gaussian(path=VPLinear()), torch.tensor([1e9], dtype=torch.float64))) == 1.0


def test_level_broadcasts():
    at = level(Gaussian(), torch.tensor([0.25, 0.5]), torch.zeros(2, 3, 4))
    assert at.alpha.shape == (2, 1, 1)
    assert at.alpha.flatten().tolist() == [0.75, 0.5]


def test_ids_have_no_levels():
    with pytest.raises(FrisketError, match="decoder"):
        gaussian(Masked(vocabulary=2))

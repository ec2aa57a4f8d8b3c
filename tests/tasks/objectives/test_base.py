import torch

from frisket.codecs.pixels import Pixels
from frisket.core.condition import Output
from frisket.core.step import Step
from frisket.processes.gaussian import Gaussian
from frisket.tasks.objectives.base import Pass


def test_a_pass_estimates_from_its_own_prediction():
    """A flow velocity that is exact gives back x0 and the noise."""
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 3, 1, 4, 4, generator=generator)
    process = Gaussian()
    corrupted = process.corrupt(x0, torch.tensor([0.2, 0.5, 0.9]), noise)
    seen = Pass(
        {}, Step(seed=0, sample=torch.arange(3)), process, Pixels(), torch.nn.Identity(), None, corrupted,
        Output(noise - x0),
    )  # fmt: skip
    torch.testing.assert_close(seen.estimate.x0, x0)
    torch.testing.assert_close(seen.estimate.noise, noise)
    assert seen.estimate is seen.estimate
    assert torch.equal(seen.x0, x0)
    assert torch.equal(seen.t, corrupted.t)

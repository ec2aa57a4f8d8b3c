import pytest
import torch
from sampling_fakes import steps

from frisket.core import FrisketError
from frisket.sampling.decoding.orders import Confidence, Entropy, Margin, Proposed, Random, Raster

P = torch.tensor([[[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.98, 0.01, 0.01]]], dtype=torch.float64)
PROPOSED = Proposed(
    log_p=P.log(), ids=torch.tensor([[1, 0, 0]]), hidden=torch.ones(1, 3, dtype=torch.bool), s=torch.tensor([0.5]),
    step=steps(1),
)  # fmt: skip


def test_closed_forms():
    torch.testing.assert_close(
        Confidence().score(PROPOSED), torch.tensor([[0.2, 0.4, 0.98]], dtype=torch.float64).log()
    )
    torch.testing.assert_close(Margin().score(PROPOSED), torch.tensor([[0.5, 0.05, 0.97]], dtype=torch.float64))
    torch.testing.assert_close(Entropy().score(PROPOSED), (P * P.log()).sum(-1))
    assert Raster(block=2).score(PROPOSED).tolist() == [[0.0, 0.0, -1e6]]


def test_random_order_is_uniform():
    n = 6000
    proposed = Proposed(
        log_p=P.log().expand(n, 3, 3), ids=torch.zeros(n, 3, dtype=torch.int64),
        hidden=torch.ones(n, 3, dtype=torch.bool), s=torch.full((n,), 0.5), step=steps(n),
    )  # fmt: skip
    first = torch.bincount(Random().score(proposed).argmax(1), minlength=3) / n
    torch.testing.assert_close(first, torch.full((3,), 1 / 3), rtol=0, atol=0.02)


def test_annealed_noise_ends_with_the_time():
    plain, half = Random(scale=4.5).score(PROPOSED), Random(scale=4.5, anneal=1.0).score(PROPOSED)
    torch.testing.assert_close(half, plain / 2)


def test_ranges():
    with pytest.raises(FrisketError):
        Random(scale=0.0)
    with pytest.raises(FrisketError):
        Raster(block=0)

from __future__ import annotations

import pytest
import torch

from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.solvers.euler import Euler
from frisket.testing import check_update


class Changed:
    """Euler or a decoder, with what it returns changed."""

    def __init__(self, inner, change):
        self.inner, self.change = inner, change

    def move(self, x, t, s, *rest):
        return self.change(self.inner.move(x, t, s, *rest))


def test_sound_updates_pass():
    check_update(Changed(Euler(), lambda x: x))
    check_update(Changed(Ordered(), lambda x: x), vocabulary=5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda x: x * 1.01, "misses what a perfect model points at"),
        (lambda x: x + 1e-3 * torch.randn(x.shape), "the global generator"),
        (lambda x: x * float("nan"), "not finite"),
    ],
)
def test_a_broken_solver_is_named(change, complaint):
    with pytest.raises(AssertionError, match=f"Changed: .*{complaint}"):
        check_update(Changed(Euler(), change))


def test_a_decoder_that_leaves_elements_hidden_is_named():
    with pytest.raises(AssertionError, match="Changed: "):
        check_update(Changed(Ordered(), lambda x: torch.full_like(x, 5)), vocabulary=5)

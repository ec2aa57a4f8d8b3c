"""Modulation by phases: plain at first, apart once trained."""

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.sites import Dispatch
from frisket.interop.mar import PHASED
from frisket.models.backbones.masked_tokens import AFFINE, PLAIN
from frisket.models.backbones.phased import PhasedStack
from frisket.models.init import build_real
from frisket.models.layers.phases import Phases


def stacks():
    phased = build_real(lambda: PhasedStack((PHASED,), 8, 2, 2, 5, AFFINE))
    plain = build_real(lambda: PhasedStack((PLAIN,), 8, 2, 2, 5, AFFINE))
    plain.load_state_dict({k: v for k, v in phased.state_dict().items() if k in plain.state_dict()})
    return phased, plain


def test_at_first_a_block_is_the_plain_one_in_every_phase():
    phased, plain = stacks()
    h = torch.randn(2, 5, 8)
    for k in range(2):
        assert torch.equal(phased(k, h, None, Dispatch(phased), 0), plain(k, h, None, Dispatch(plain), 0))


def test_a_scale_of_one_phase_leaves_the_other_alone():
    phased, _ = stacks()
    h, at = torch.randn(2, 5, 8), Dispatch(phased)
    before = [phased(k, h, None, at, 0) for k in range(2)]
    with torch.no_grad():
        phased.blocks[0].modulation.scale[1].fill_(0.5)
    assert torch.equal(phased(0, h, None, at, 0), before[0])
    assert not torch.allclose(phased(1, h, None, at, 0), before[1])


def test_numbers_that_are_no_pairs_are_refused():
    with pytest.raises(FrisketError, match="scale and a gate"):
        Phases().build(8, 8, 3)
    with pytest.raises(FrisketError, match="phases"):
        Phases(phases=0)

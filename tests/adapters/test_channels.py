"""Joined channels: silent at first, then they count."""

import pytest
import torch
from torch import nn

from frisket.adapters.channels import JoinChannels
from frisket.core import FrisketError, apply_edits
from frisket.core.condition import Condition
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.testing import check_edit

CONFIG = Transformer(width=8, heads=2, blocks=repeat(Block(), 1))
G = torch.Generator().manual_seed(0)
X, A, T = torch.randn(2, 1, 8, 8, generator=G), torch.randn(2, 2, 8, 8, generator=G), torch.tensor([0.2, 0.6])


def randomised(model):
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.3, generator=g)
    return model


def test_new_columns_start_at_zero_so_nothing_changes():
    model = randomised(CONFIG.build())
    before = model(X, T).pred
    apply_edits(model, [JoinChannels(name="a", channels=2)])
    assert model.input.linear.weight.shape == (8, (1 + 2) * 4)
    assert torch.equal(model(X, T, Condition.of(a=A)).pred, before)
    with torch.no_grad():
        model.input.linear.weight.normal_(generator=G)
    assert not torch.allclose(model(X, T, Condition.of(a=A)).pred, model(X, T, Condition.of(a=-A)).pred, atol=1e-3)


def test_two_stand_behind_each_other_and_round_trip():
    class Once:
        @staticmethod
        def build():
            return apply_edits(CONFIG.build(), [JoinChannels(name="a", channels=2)])

    cond = Condition.of(a=A, b=A[:, :1])

    def run(model):
        return model(X, T, cond if "b" in model.doors.ways else Condition.of(a=A)).pred

    check_edit(JoinChannels(name="b", channels=1), Once, run, exact=0.0)


def test_refusals():
    with pytest.raises(FrisketError, match="no doors"):
        JoinChannels().build(nn.Linear(2, 2))
    with pytest.raises(FrisketError, match=r"edit\.channels = 0"):
        JoinChannels(channels=0)
    with pytest.raises(FrisketError, match="missing: a"):
        apply_edits(CONFIG.build(), [JoinChannels(name="a")])(X, T)

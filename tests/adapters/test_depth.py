"""Inserted blocks: silent at first, round trip, meta, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from frisket.adapters.depth import InsertBlock
from frisket.compression.depth import RemoveBlocks
from frisket.core import FrisketError, apply_edits, from_config, to_config
from frisket.core.condition import Condition
from frisket.core.edits import build_edited
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.modulation import Shared

CONFIG = Transformer(width=8, heads=2, doors=(Door(embedder=ClassIds(classes=3)),), blocks=repeat(Block(), 3))
X = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
CALL = (X, torch.tensor([3.0, 700.0]), Condition.of(label=torch.tensor([0, 2])))


def randomised(config=CONFIG):
    model = config.build()
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.3, generator=g)
    return model


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_silent_block_keeps_outputs_bit_for_bit(at):
    model = randomised()
    before = model(*CALL).pred
    apply_edits(model, [InsertBlock(at=at)])
    assert len(model.blocks) == 4
    assert torch.equal(model(*CALL).pred, before)
    fresh = model.blocks[at]
    assert fresh.branches["attn"].mixer.qkv.weight.std() > 0
    assert fresh.modulation.linear.weight.abs().sum() == 0


def test_inserting_then_removing_is_nothing():
    model = randomised()
    old = {k: v.clone() for k, v in model.state_dict().items()}
    apply_edits(model, [InsertBlock(at=1), RemoveBlocks(indices=(1,))])
    assert old.keys() == model.state_dict().keys()
    assert all(torch.equal(v, old[k]) for k, v in model.state_dict().items())


def test_a_saved_model_is_config_edits_and_weights():
    edits = [InsertBlock(at=2), InsertBlock(at=0)]
    model = apply_edits(randomised(), edits)
    with torch.no_grad():
        model.blocks[3].modulation.linear.bias.fill_(0.3)
    with torch.device("meta"):
        ghost = build_edited(CONFIG, edits)
    assert all(p.is_meta for p in ghost.parameters())
    again = build_edited(CONFIG, [from_config(to_config(e)) for e in edits])
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(*CALL).pred, model(*CALL).pred)


def test_fresh_weights_do_not_depend_on_the_global_generator():
    torch.manual_seed(1)
    one = apply_edits(randomised(), [InsertBlock(at=1)]).state_dict()
    torch.manual_seed(2)
    two = apply_edits(randomised(), [InsertBlock(at=1)]).state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_refusals():
    with pytest.raises(FrisketError, match=r"edit\.at = 4"):
        InsertBlock(at=4).build(CONFIG.build())
    with pytest.raises(FrisketError, match="no list of blocks"):
        InsertBlock(at=0).build(nn.Linear(1, 1))
    with pytest.raises(FrisketError, match="share no modulation"):
        InsertBlock(at=0, block=Block(modulation=Shared())).build(CONFIG.build())


def test_a_block_may_join_those_that_share_their_modulation():
    config = Transformer(width=8, heads=2, blocks=repeat(Block(modulation=Shared()), 2))
    model = apply_edits(randomised(config), [InsertBlock(at=1, block=Block(modulation=Shared()))])
    assert model(X, CALL[1]).pred.isfinite().all()

"""Removed blocks: equal to gated ones, round trip, meta, refusals."""

from __future__ import annotations

import pytest
import torch

from frisket.compression.depth import RemoveBlocks
from frisket.core import FrisketError, Step, apply_edits, from_config, install, to_config, use_step
from frisket.core.condition import Condition
from frisket.core.edits import build_edited
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds

CONFIG = Transformer(width=8, heads=2, doors=(Door(embedder=ClassIds(classes=3)),), blocks=repeat(Block(), 5))
X = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
CALL = (X, torch.tensor([3.0, 700.0]), Condition.of(label=torch.tensor([0, 2])))
EDIT = RemoveBlocks(indices=(3, 0))


def randomised():
    model = CONFIG.build()
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.3, generator=g)
    return model


def test_removed_equals_skipped_bit_for_bit():
    model = randomised()
    skip = {f"block[{i}]": lambda call, args, step: args[0] for i in EDIT.indices}
    with use_step(Step(seed=0, sample=torch.arange(2))), install(model, skip):
        wanted = model(*CALL).pred
    before = model(*CALL).pred
    apply_edits(model, [EDIT])
    assert torch.equal(model(*CALL).pred, wanted)
    assert not torch.equal(wanted, before)
    assert model.edits == (EDIT,)
    assert "block[2].attn" in model.sites()
    assert "block[3]" not in model.sites()


def test_a_saved_model_is_config_edits_and_weights():
    model = apply_edits(randomised(), [EDIT])
    with torch.device("meta"):
        again = build_edited(CONFIG, [from_config(to_config(EDIT))])
    assert all(p.is_meta for p in again.parameters())
    again = build_edited(CONFIG, [EDIT])
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(*CALL).pred, model(*CALL).pred)


@pytest.mark.parametrize("indices", [(5,), (0, 1, 2, 3, 4)])
def test_blocks_that_are_not_there_are_refused(indices):
    with pytest.raises(FrisketError, match=r"edit\.indices"):
        RemoveBlocks(indices=indices).build(CONFIG.build())


@pytest.mark.parametrize("indices", [(1, 1), (-1,)])
def test_indices_must_be_plain_numbers(indices):
    with pytest.raises(FrisketError, match="different numbers"):
        RemoveBlocks(indices=indices)

"""Folding keeps the outputs, comes back from disk, and done twice changes nothing."""

from __future__ import annotations

import torch

from frisket.compression.folding import FoldConvolutions, fold_block
from frisket.core import Condition, apply_edits, from_config, to_config
from frisket.core.edits import build_edited
from frisket.interop.u_dit import u_block, u_transformer
from frisket.models.block import Block
from frisket.models.count import count_parameters
from frisket.testing.backbones import stir

U = u_transformer(8, 2, (1, 0, 1, 0, 1), channels=1, channels_out=1, side=8, classes=3)
CALL = (
    torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0.2, 0.9]),
    Condition.of(label=torch.tensor([0, 2])),
)  # fmt: skip


def stirred():
    model = U.build()
    stir(model, 0.2)
    return model.eval()


def test_folded_predicts_the_same_with_fewer_weights():
    model = stirred()
    before, size = model(*CALL).pred, count_parameters(model)
    apply_edits(model, [FoldConvolutions()])
    torch.testing.assert_close(model(*CALL).pred, before, rtol=1e-4, atol=1e-5)
    assert before.abs().max() > 0.01
    assert count_parameters(model) < size
    plain = u_transformer(
        8, 2, (1, 0, 1, 0, 1), channels=1, channels_out=1, side=8, classes=3, block=fold_block(u_block())
    ).build()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(plain(*CALL).pred, model(*CALL).pred)


def test_folding_twice_changes_nothing():
    model = apply_edits(stirred(), [FoldConvolutions()])
    once = {k: v.clone() for k, v in model.state_dict().items()}
    apply_edits(model, [FoldConvolutions()])
    assert all(torch.equal(v, once[k]) for k, v in model.state_dict().items())
    assert set(model.state_dict()) == set(once)


def test_a_folded_model_is_config_edit_and_weights():
    model = apply_edits(stirred(), [FoldConvolutions()])
    with torch.device("meta"):
        shell = build_edited(U, [from_config(to_config(FoldConvolutions()))])
    assert all(p.is_meta for p in shell.parameters())
    again = build_edited(U, [FoldConvolutions()])
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(*CALL).pred, model(*CALL).pred)


def test_a_block_without_wide_parts_stays():
    assert fold_block(Block()) == Block()
    assert fold_block(fold_block(u_block())) == fold_block(u_block()) != u_block()

"""Experts that start as copies: the same outputs where gates sum to one, smaller ones where they do not."""

from __future__ import annotations

import pytest
import torch

from frisket.compression.upcycle import Upcycle
from frisket.core import Condition, FrisketError, apply_edits, from_config, to_config
from frisket.core.edits import build_edited
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.routers import Softmax
from frisket.testing.backbones import stir

CONFIG = Transformer(width=8, heads=2, doors=(Door(embedder=ClassIds(classes=3)),), blocks=repeat(Block(), 3))
CALL = (
    torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([3.0, 700.0]),
    Condition.of(label=torch.tensor([0, 2])),
)  # fmt: skip
EDIT = Upcycle(blocks=(1, 2), experts=4)


def stirred():
    model = CONFIG.build()
    stir(model, 0.3)
    return model.eval()


def test_with_gates_that_sum_to_one_nothing_changes():
    model = stirred()
    before = model(*CALL).pred
    apply_edits(model, [EDIT])
    torch.testing.assert_close(model(*CALL).pred, before, rtol=1e-5, atol=1e-6)
    assert "block[1].ffn.route" in model.sites()
    assert "block[0].ffn.route" not in model.sites()
    assert model.train()(*CALL).losses["balance"] > 0


def test_with_plain_softmax_gates_it_is_not_the_dense_network():
    model = stirred()
    before = model(*CALL).pred
    apply_edits(model, [Upcycle(blocks=(2,), experts=4, router=Softmax())])
    assert (model(*CALL).pred - before).abs().max() > 1e-3


def test_every_expert_is_a_copy_and_routers_are_fresh():
    model, dense = stirred(), stirred()
    apply_edits(model, [EDIT])
    old = dense.blocks[1].branches["ffn"].mixer.state_dict()
    mixer = model.blocks[1].branches["ffn"].mixer
    for expert in mixer.experts:
        assert all(torch.equal(v, old[k]) for k, v in expert.state_dict().items())
    assert mixer.shared is None
    assert mixer.router.top.linear.weight.std() > 0


def test_an_upcycled_model_is_config_edit_and_weights():
    model = apply_edits(stirred(), [EDIT])
    with torch.device("meta"):
        shell = build_edited(CONFIG, [from_config(to_config(EDIT))])
    assert {k: v.shape for k, v in shell.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
    again = build_edited(CONFIG, [EDIT])
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(*CALL).pred, model(*CALL).pred)


def test_what_cannot_be_upcycled_is_refused():
    with pytest.raises(FrisketError, match="below 3"):
        apply_edits(stirred(), [Upcycle(blocks=(3,))])
    with pytest.raises(FrisketError, match="no branch 'mlp'"):
        apply_edits(stirred(), [Upcycle(blocks=(0,), branch="mlp")])
    with pytest.raises(FrisketError, match="no mixture"):
        apply_edits(stirred(), [EDIT, EDIT])
    for wrong in ({"blocks": ()}, {"blocks": (0, 0)}, {"blocks": (0,), "experts": 1}):
        with pytest.raises(FrisketError, match=r"edit\."):
            Upcycle(**wrong)

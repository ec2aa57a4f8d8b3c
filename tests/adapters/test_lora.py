"""Low-rank adapters: silent at first, folding changes nothing, equal to peft's layers, and only they learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from frisket.adapters.freeze import Freeze
from frisket.adapters.lora import Adapted, FoldLora, Lora, adapted, fold
from frisket.compression.depth import RemoveBlocks
from frisket.core import FrisketError, apply_edits, from_config, to_config
from frisket.core.condition import Condition
from frisket.core.edits import build_edited
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import count_parameters
from frisket.models.doors import Door
from frisket.models.init import marks_of
from frisket.models.layers.embedders import ClassIds
from frisket.testing import check_edit

CONFIG = Transformer(width=8, heads=2, doors=(Door(embedder=ClassIds(classes=3)),), blocks=repeat(Block(), 2))
X = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
CALL = (X, torch.tensor([0.3, 0.7]), Condition.of(label=torch.tensor([0, 2])))


def randomised(model, seed=1, std=0.3):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, std, generator=g)
    return model


def run(model):
    return model(*CALL).pred


class Filled:
    """The transformer with every weight drawn, also what starts at zero."""

    @staticmethod
    def build():
        model = CONFIG.build()
        return model if next(model.parameters()).is_meta else randomised(model)


@pytest.mark.parametrize("edit", [Lora(), Lora(rank=2, alpha=7.0, targets=("*.attn.*",)), Lora(split={})])
def test_a_fresh_adapter_changes_nothing_bit_for_bit(edit):
    check_edit(edit, Filled, run, exact=0.0)


@settings(max_examples=10, deadline=None)
@given(rank=st.integers(1, 5), alpha=st.floats(0.5, 20.0), split=st.booleans())
def test_folding_keeps_the_function(rank, alpha, split):
    edit = Lora(rank=rank, alpha=alpha, split={"*.qkv": 3} if split else {})
    model = randomised(apply_edits(CONFIG.build(), [edit]))
    before = run(model)
    plain = fold(model)
    assert not any(isinstance(m, Adapted) for m in plain.modules())
    assert torch.allclose(run(plain), before, rtol=1e-5, atol=1e-5 * before.detach().abs().max().item())


def test_a_folded_model_is_a_plain_one():
    model = randomised(apply_edits(CONFIG.build(), [Lora(), Freeze()]))
    fold(model)
    assert model.edits == ()
    again = CONFIG.build()
    again.load_state_dict(model.state_dict())
    assert torch.equal(run(again), run(model))
    learns, fresh = ([n for n, p in m.named_parameters() if p.requires_grad] for m in (model, CONFIG.build()))
    assert learns == fresh


def test_folding_as_an_edit_round_trips_like_any_other():
    model = randomised(apply_edits(CONFIG.build(), [Lora(name="a"), Lora(name="b", rank=2)]))
    before = run(model)
    apply_edits(model, [FoldLora(name="a")])
    assert torch.allclose(run(model), before, atol=1e-4)
    again = build_edited(CONFIG, [from_config(to_config(e)) for e in model.edits])
    again.load_state_dict(model.state_dict())
    assert torch.equal(run(again), run(model))
    assert list(adapted(model, "b")) == list(adapted(model))


def test_other_edits_go_on_working_on_an_adapted_model():
    model = randomised(apply_edits(CONFIG.build(), [Lora()]))
    kept = model.blocks[1].branches["attn"].mixer.qkv.lora["default"].up[0].weight.clone()
    apply_edits(model, [RemoveBlocks(indices=(0,))])
    assert torch.equal(model.blocks[0].branches["attn"].mixer.qkv.lora["default"].up[0].weight, kept)


def test_names_of_the_weights_below_stay():
    before = set(CONFIG.build().state_dict())
    after = set(apply_edits(CONFIG.build(), [Lora()]).state_dict())
    assert before <= after
    assert all(".lora.default." in name for name in after - before)


def test_sizes_follow_the_rank():
    model = apply_edits(CONFIG.build(), [Lora(rank=4, targets=("*.attn.*",)), Freeze()])
    assert count_parameters(model, trained_only=True) == 2 * 4 * (3 * 2 * 8 + 2 * 8)  # blocks, rank, q k v and out
    assert set(marks_of(model)) == {n for n, _ in model.named_parameters()}


def test_roles_and_patterns_choose_layers():
    model = CONFIG.build()
    assert Lora(targets=("*",), roles=("modulation",)).layers(model) == [
        "blocks.0.modulation.linear", "blocks.1.modulation.linear", "final_modulation.linear",
    ]  # fmt: skip
    assert all(".ffn." in name for name in Lora(targets=("*.ffn.*",)).layers(model))
    assert Lora(targets=("*",), roles=("input",)).layers(model) == ["input.linear"]


def test_only_the_second_adapter_learns_and_what_is_below_stays_bit_for_bit():
    model = randomised(apply_edits(CONFIG.build(), [Lora(name="one"), Freeze(learns=("*.lora.one.*",))]))
    apply_edits(model, [Lora(name="two"), Freeze(learns=("*.lora.two.*",))])
    before = {n: v.clone() for n, v in model.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # `down` moves once `up` has left zero
        run(model).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert moved == {n for n in before if ".lora.two." in n and not n.endswith("scale")}


def test_refusals():
    with pytest.raises(FrisketError, match="no linear layer matches"):
        Lora(targets=("nowhere.*",)).build(CONFIG.build())
    with pytest.raises(FrisketError, match=r"edit\.name = 'default'"):
        apply_edits(CONFIG.build(), [Lora(), Lora()])
    with pytest.raises(FrisketError, match=r"edit\.split = 5"):
        Lora(split={"*.qkv": 5}).build(CONFIG.build())
    with pytest.raises(FrisketError, match="no adapter 'other'"):
        FoldLora(name="other").build(apply_edits(CONFIG.build(), [Lora()]))
    for wrong in ({"rank": 0}, {"alpha": 0.0}, {"name": "a.b"}, {"targets": ()}, {"roles": ("nothing",)}, {"split": {"*": 0}}):
        with pytest.raises(FrisketError, match=f"edit.{next(iter(wrong))}"):
            Lora(**wrong)


def test_numbers_are_those_of_peft():
    peft = pytest.importorskip("peft")
    chain = nn.Sequential(nn.Linear(6, 10), nn.Linear(10, 4))
    theirs = peft.get_peft_model(
        nn.Sequential(nn.Linear(6, 10), nn.Linear(10, 4)), peft.LoraConfig(r=3, lora_alpha=5, target_modules=["0", "1"])
    )
    theirs.base_model.model.load_state_dict(
        {f"{i}.base_layer.{k}": v for i, layer in enumerate(chain) for k, v in layer.state_dict().items()}, strict=False
    )
    ours = apply_edits(chain, [Lora(rank=3, alpha=5.0, targets=("*",))])
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for i in range(2):
            layer = theirs.base_model.model[i]
            for mine, its in ((ours[i].lora["default"].down[0], layer.lora_A), (ours[i].lora["default"].up[0], layer.lora_B)):
                mine.weight.normal_(generator=g)
                its["default"].weight.copy_(mine.weight)
    x = torch.randn(7, 6, generator=g)
    assert torch.allclose(ours(x), theirs(x), rtol=1e-6, atol=1e-6)
    merged = theirs.merge_and_unload()
    fold(ours)
    assert all(torch.allclose(ours[i].weight, merged[i].weight, atol=1e-6) for i in range(2))

"""Removed units: equal to units gated to zero, counted exactly, saved and loaded, refused where they are not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import CALL, CONFIG, GATED, PLAIN, built, pipeline

from frisket.compression.depth import RemoveBlocks
from frisket.compression.gates import fixed_units
from frisket.compression.width import Cut, RemoveUnits, cuts_of, units_of, weights_of_units
from frisket.core import FrisketError, Step, apply_edits, install, use_step
from frisket.core.edits import build_edited
from frisket.models.backbones.transformer import Transformer
from frisket.models.count import count_macs, count_parameters
from frisket.sampling.pipeline import Pipeline
from frisket.testing import check_edit

HEADS, HIDDEN = "block[1].attn.attend", "block[2].ffn.hidden"
GONE = {HEADS: (0, 3), HIDDEN: (1, 5, 30), "block[0].attn.attend": (2,)}
CONFIGS = {
    "gelu": CONFIG,
    "swiglu": replace(CONFIG, blocks=(GATED,) * 4),
    "no biases": replace(CONFIG, blocks=(PLAIN,) * 4),
}


def closed(model, gone):
    gates = {}
    for site, units in gone.items():
        gates[site] = torch.ones(units_of(model)[site])
        gates[site][list(units)] = 0.0
    return fixed_units(gates)


def gated(model, gone):
    with use_step(Step(seed=0, sample=torch.arange(3))), install(model, closed(model, gone)):
        return model(*CALL).pred


@pytest.mark.parametrize("name", CONFIGS)
def test_hard_gated_equals_edited(name):
    model = built(config=CONFIGS[name])
    wanted, before = gated(model, GONE), model(*CALL).pred
    apply_edits(model, [cuts_of(GONE, model)])
    torch.testing.assert_close(model(*CALL).pred, wanted, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(wanted, before, atol=1e-3)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_branch_without_units_is_its_output_bias(name):
    model = built(config=CONFIGS[name])
    gone = {HEADS: range(4), HIDDEN: range(32)}
    wanted = gated(model, gone)
    apply_edits(model, [cuts_of(gone, model)])
    torch.testing.assert_close(model(*CALL).pred, wanted, rtol=1e-5, atol=1e-5)
    assert HEADS not in model.sites()
    assert HIDDEN not in model.sites()
    assert "block[1].attn" in model.sites()


def test_a_branch_without_units_can_be_counted():
    model = built()
    before = count_macs(model, (1, 8, 8))
    apply_edits(model, [cuts_of({HEADS: range(4)}, model)])
    assert 0 < count_macs(model, (1, 8, 8)) < before


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, 3), max_size=3), st.sets(st.integers(0, 31), max_size=20))
def test_parameters_and_products_fall_by_the_exact_formula(heads, hidden):
    model, width, tokens = built(), 16, 4
    parameters, macs = count_parameters(model), count_macs(model, (1, 8, 8))
    apply_edits(model, [cuts_of({HEADS: sorted(heads), HIDDEN: sorted(hidden)}, model)])
    e = width // 4
    assert parameters - count_parameters(model) == len(heads) * (4 * width * e + 3 * e) + len(hidden) * (2 * width + 1)
    a_head = tokens * 4 * width * e + 2 * tokens * tokens * e
    assert macs - count_macs(model, (1, 8, 8)) == len(heads) * a_head + len(hidden) * 2 * width * tokens


def test_a_swiglu_unit_takes_three_rows():
    model = built(config=CONFIGS["swiglu"])
    before = count_parameters(model)
    apply_edits(model, [cuts_of({HIDDEN: (0, 4)}, model)])
    assert before - count_parameters(model) == 2 * 3 * 16


def test_carry_takes_the_very_rows_and_columns():
    model = built()
    old = {k: v.clone() for k, v in model.state_dict().items()}
    edit = cuts_of({HEADS: (1,), HIDDEN: (0,)}, model)
    new = edit.carry(old)
    kept = torch.tensor([0, 2, 3])
    rows = old["blocks.1.branches.attn.mixer.qkv.weight"].view(3, 4, 4, 16)[:, kept].reshape(-1, 16)
    assert torch.equal(new["blocks.1.branches.attn.mixer.qkv.weight"], rows)
    columns = old["blocks.1.branches.attn.mixer.inner.out.weight"].view(16, 4, 4)[:, kept].reshape(16, -1)
    assert torch.equal(new["blocks.1.branches.attn.mixer.inner.out.weight"], columns)
    assert torch.equal(new["blocks.2.branches.ffn.mixer.up.bias"], old["blocks.2.branches.ffn.mixer.up.bias"][1:])
    same = [k for k in old if not k.startswith((edit.cuts[0].prefix, edit.cuts[1].prefix))]
    assert all(new[k] is old[k] for k in same)
    apply_edits(model, [edit])
    assert all(torch.equal(v, new[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("gone", [GONE, {HEADS: range(4), HIDDEN: range(32)}])
def test_the_edit_keeps_the_promises_of_edits(gone):
    check_edit(cuts_of(gone, built()), CONFIG, lambda model: model(*CALL).pred)


def test_an_edited_model_builds_on_meta():
    edit = cuts_of({**GONE, "block[3].ffn.hidden": range(32)}, built())
    with torch.device("meta"):
        shell = build_edited(CONFIG, [edit])
    assert all(p.is_meta for p in shell.parameters())
    real = apply_edits(built(), [edit])
    assert {k: v.shape for k, v in shell.state_dict().items()} == {k: v.shape for k, v in real.state_dict().items()}


def test_a_pruned_pipeline_is_saved_and_loaded(tmp_path):
    pipe = pipeline()
    apply_edits(pipe.model, [cuts_of(GONE, pipe.model), RemoveBlocks(indices=(3,))])
    again = Pipeline.from_pretrained(pipe.save_pretrained(tmp_path / "model"))
    assert torch.equal(again.sample(2, label=1), pipe.sample(2, label=1))
    assert count_parameters(again.model) == count_parameters(pipe.model) < count_parameters(built())


def test_edits_follow_each_other_in_the_new_numbers():
    model = built()
    apply_edits(model, [RemoveBlocks(indices=(0,))])
    apply_edits(model, [cuts_of({"block[0].attn.attend": (0,)}, model)])
    assert units_of(model)["block[0].attn.attend"] == 3
    apply_edits(model, [cuts_of({"block[0].attn.attend": (2,)}, model)])
    assert units_of(model)["block[0].attn.attend"] == 2
    assert model(*CALL).pred.isfinite().all()


def test_pruned_layers_still_learn():
    model = built()
    apply_edits(model, [cuts_of({HEADS: range(4), HIDDEN: (0,)}, model)])
    model(*CALL).pred.square().mean().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    from frisket.models.init import marks_of

    assert set(marks_of(model)) == {name for name, _ in model.named_parameters()}


def test_weights_of_units_are_all_of_them():
    model = built()
    for site, count in units_of(model).items():
        rows = weights_of_units(model, site)
        assert all(len(part) == count for part in rows)
        mixer = model.get_submodule(Cut(site=site, of=1, removed=()).prefix.removesuffix("."))
        total = sum(m.weight.numel() for m in mixer.modules() if isinstance(m, torch.nn.Linear))
        assert sum(part.numel() for part in rows) == total


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (Cut(site="block[9].attn.attend", of=4, removed=(0,)), "one of block"),
        (Cut(site=HEADS, of=5, removed=(0,)), "units of"),
    ],
)
def test_units_that_are_not_there_are_refused(cut, message):
    with pytest.raises(FrisketError, match=message):
        RemoveUnits(cuts=(cut,)).build(built())


def test_cuts_that_make_no_sense_are_refused():
    with pytest.raises(FrisketError, match="different numbers from 0 to 3"):
        Cut(site=HEADS, of=4, removed=(4,))
    with pytest.raises(FrisketError, match=r"cut\.site"):
        Cut(site="block[1].attn", of=4, removed=())
    with pytest.raises(FrisketError, match="different sites"):
        RemoveUnits(cuts=(Cut(site=HEADS, of=4, removed=(0,)),) * 2)
    with pytest.raises(FrisketError, match="the weights lack"):
        RemoveUnits(cuts=(Cut(site=HEADS, of=4, removed=(0,)),)).carry({})
    with pytest.raises(FrisketError, match="site"):
        cuts_of({"block[7].ffn.hidden": (0,)}, built())


def test_a_relative_bias_refuses_fewer_heads():
    """Its table has one column a head, which the edit leaves alone."""
    from frisket.models.layers.positions import RelativeBias

    config: Transformer = replace(CONFIG, positions=RelativeBias())
    model = built(config=config)
    with pytest.raises(FrisketError, match="relative bias"):
        apply_edits(model, [cuts_of({HEADS: (0,)}, model)])

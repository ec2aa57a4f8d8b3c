"""Gates over blocks and units: patterns, straight-through choices, hard concrete, their handlers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import CALL, built

from frisket.compression.depth import RemoveBlocks
from frisket.compression.gates import (
    GroupGates,
    UnitGates,
    even_groups,
    fixed_units,
    gate_blocks,
    hard_concrete,
    patterns,
    skip_blocks,
)
from frisket.core import FrisketError, Step, apply_edits, install, use_step

STEP = Step(seed=4, sample=torch.arange(3))


def uniform(rows, options, seed=0):
    return torch.rand(rows, options, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).clamp(1e-9)


def test_patterns_are_all_subsets_in_lexicographic_order():
    assert patterns(2, 4).tolist() == [
        [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1],
    ]  # fmt: skip
    assert patterns(3, 3).tolist() == [[1, 1, 1]]
    assert even_groups(8, 2, 4) == ((2, 4), (2, 4))


@given(st.lists(st.sampled_from([(1, 2), (2, 4), (2, 3), (3, 3)]), min_size=1, max_size=3), st.integers(0, 99))
def test_every_sampled_mask_keeps_exactly_what_its_groups_say(groups, seed):
    gates = GroupGates(tuple(groups))
    mask = gates.sample(uniform(16, gates.options, seed), 2.0, 100.0)
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    at = 0
    for keep, of in groups:
        assert (mask[:, at : at + of].sum(1) == keep).all()
        at += of
    assert len(gates.kept()) == sum(keep for keep, _ in groups)


def test_masks_differ_by_sample_and_follow_their_probabilities():
    gates = GroupGates(((1, 2),))
    with torch.no_grad():
        gates.logits[0].copy_(torch.tensor([0.0, math.log(3.0)]))
    mask = gates.sample(uniform(4000, 2), 1.0, 1.0)
    assert mask[:, 1].mean().item() == pytest.approx(0.75, abs=0.03)  # Gumbel-max draws from the softmax
    sharper = gates.sample(uniform(4000, 2), 1.0, 10.0)
    assert sharper[:, 1].mean().item() > 0.99
    assert gates.confidence(1.0) == pytest.approx((0.75,))


def test_a_constant_added_to_the_logits_changes_neither_choice_nor_mask():
    gates, moved = GroupGates(((2, 4),)), GroupGates(((2, 4),))
    with torch.no_grad():
        gates.logits[0].copy_(torch.tensor([0.1, 0.3, -0.2, 0.25, 0.0, 0.05]))
        moved.logits[0].copy_(gates.logits[0] + 3.0)
    u = uniform(8, 6)
    assert gates.kept() == moved.kept() == (0, 2)
    assert torch.equal(gates.sample(u, 0.5, 2.0), moved.sample(u, 0.5, 2.0))


def test_logits_get_a_gradient_through_dropped_blocks():
    model, gates = built(), GroupGates(((1, 2), (1, 2)))
    model.requires_grad_(False)
    with use_step(STEP), install(model, gate_blocks(gates.sample(uniform(3, gates.options), 4.0, 100.0))):
        model(*CALL).pred.square().mean().backward()
    assert all(logits.grad is not None and logits.grad.abs().min() > 0 for logits in gates.logits)
    assert all(p.grad is None for p in model.parameters())


def test_groups_that_keep_everything_are_the_dense_model():
    model, gates = built(), GroupGates(((4, 4),))
    with use_step(STEP), install(model, gate_blocks(gates.sample(uniform(3, 1), 1.0, 1.0))):
        out = model(*CALL).pred
    torch.testing.assert_close(out, model(*CALL).pred, rtol=0, atol=0)


def test_hard_gated_skipped_and_edited_are_one():
    model, gates = built(), GroupGates(((1, 2), (1, 2)))
    with torch.no_grad():
        gates.logits[0][1] += 1.0
    gone = tuple(i for i in range(4) if i not in gates.kept())
    mask = torch.ones(3, 4)
    mask[:, list(gone)] = 0.0
    with use_step(STEP), install(model, gate_blocks(mask)):
        gated = model(*CALL).pred
    with use_step(STEP), install(model, skip_blocks(gone)):
        skipped = model(*CALL).pred
    apply_edits(model, [RemoveBlocks(indices=gone)])
    assert torch.equal(skipped, model(*CALL).pred)
    torch.testing.assert_close(gated, skipped, rtol=1e-5, atol=1e-5)


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(FrisketError, match="1 <= keep <= of"):
        GroupGates(((0, 2),))
    with pytest.raises(FrisketError, match="divides the 6 blocks"):
        even_groups(6, 2, 4)


@given(st.floats(-20, 20), st.floats(1e-6, 1 - 1e-6), st.sampled_from([0.01, 0.1, 0.5]))
def test_hard_concrete_gates_stay_inside_and_rise_with_the_logit(logit, u, eps):
    low, high = hard_concrete(torch.tensor([logit, logit + 0.5]), torch.full((2,), u), eps)
    assert 0.0 <= low <= high <= 1.0


def test_hard_concrete_is_exactly_shut_and_open_at_the_ends():
    u = torch.tensor([0.01, 0.5, 0.99])
    assert hard_concrete(torch.full((3,), 40.0), u).tolist() == [1.0, 1.0, 1.0]
    assert hard_concrete(torch.full((3,), -40.0), u).tolist() == [0.0, 0.0, 0.0]


def test_open_unit_gates_are_the_dense_model_bit_for_bit():
    model = built()
    gates = UnitGates({"block[0].attn.attend": 4, "block[3].ffn.hidden": 32}, start=40.0)
    with use_step(STEP), install(model, gates.handlers(0.1, "step")):
        assert torch.equal(model(*CALL).pred, model(*CALL).pred)
        gated = model(*CALL).pred
    assert torch.equal(gated, model(*CALL).pred)


def test_gates_are_drawn_a_sample_and_a_step_or_a_trajectory():
    model, gates = built(), UnitGates({"block[1].attn.attend": 4}, start=0.0)

    def run(index, draws, rows=slice(None)):
        step = Step(seed=4, sample=torch.arange(3)[rows], index=index)
        cond = CALL[2].rows(rows)
        with use_step(step), install(model, gates.handlers(0.1, draws)):
            return model(CALL[0][rows], CALL[1][rows], cond).pred

    assert not torch.equal(run(0, "step"), run(1, "step"))
    assert torch.equal(run(0, "trajectory"), run(1, "trajectory"))
    torch.testing.assert_close(run(1, "step")[1:2], run(1, "step", slice(1, 2)))  # whatever batch it travels in


def test_branches_of_guidance_share_their_gates():
    model, gates = built(), UnitGates({"block[1].ffn.hidden": 32}, start=0.0)
    x, t, cond = (CALL[0][:1].repeat(2, 1, 1, 1), CALL[1][:1].repeat(2), CALL[2].rows(torch.tensor([0, 0])))
    with use_step(Step(seed=4, sample=torch.tensor([5, 5]))), install(model, gates.handlers(0.1, "step")):
        out = model(x, t, cond).pred
    torch.testing.assert_close(out[0], out[1])


def test_fixed_gates_multiply_units():
    model, zeros = built(), torch.zeros(4)
    with use_step(STEP), install(model, fixed_units({"block[0].attn.attend": zeros})):
        gated = model(*CALL).pred
    reader = model.blocks[0].branches["attn"].mixer.inner.out
    with torch.no_grad():
        reader.weight.zero_()
    torch.testing.assert_close(gated, model(*CALL).pred)

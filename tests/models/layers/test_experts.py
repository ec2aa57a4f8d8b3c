"""Experts against the sum written out; what is counted, what is left out, what reaches the loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from frisket.codecs.base import Spec
from frisket.core import Condition, Dispatch, FrisketError, Step, install, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import count_macs
from frisket.models.doors import Door
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import BranchCall, Side, Sizes
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.experts import Experts, overflow
from frisket.models.layers.ffn import Gelu, SwiGLU
from frisket.models.layers.routers import Renormalised, Routed, SampleBalance, Softmax
from frisket.models.plans.routing import Routing
from frisket.models.tokens import Tokens
from frisket.testing import check_backbone

SIZES = Sizes(width=8, heads=2, condition=8, grid=Grid.of((6,)))
TOKENS = Tokens.of(torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0)))
FOUR = Experts(experts=4)


def build(config):
    return build_real(lambda: config.build(SIZES))


def call(tokens=TOKENS):
    return BranchCall(Side(grid=SIZES.grid, state=6, raw=tokens.h), Dispatch(object()), "x.attend", None)


def written_out(module, tokens):
    """Every expert on every token, weighted; nothing sparse."""
    routed = module.router(tokens.h)
    every = torch.stack([expert(tokens, call()) for expert in module.experts], 2)
    weight = torch.zeros_like(routed.scores).scatter(-1, routed.ids, routed.gates)
    out = (every * weight.unsqueeze(-1)).sum(2)
    return out if module.shared is None else out + module.shared(tokens, call())


@pytest.mark.parametrize("config", [FOUR, replace(FOUR, active=3, expert=Gelu()), replace(FOUR, shared=None)])
def test_sparse_is_the_sum_written_out_values_and_gradients(config):
    module = build(config)
    out, wanted = module(TOKENS, call()), written_out(module, TOKENS)
    torch.testing.assert_close(out, wanted, rtol=1e-5, atol=1e-6)
    got = torch.autograd.grad(out.square().sum(), list(module.parameters()))
    want = torch.autograd.grad(wanted.square().sum(), list(module.parameters()))
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


def test_one_expert_is_a_dense_layer_and_the_shared_one():
    module = build(Experts(experts=1, active=1))
    wanted = module.experts[0](TOKENS, call()) + module.shared(TOKENS, call())
    torch.testing.assert_close(module(TOKENS, call()), wanted)


@pytest.mark.parametrize("router", [Softmax(), Renormalised()])
def test_equal_experts_act_as_one_times_the_sum_of_gates(router):
    module = build(replace(FOUR, router=router))
    for expert in module.experts[1:]:
        expert.load_state_dict(module.experts[0].state_dict())
    gates = module.router(TOKENS.h).gates.sum(-1, keepdim=True)
    wanted = gates * module.experts[0](TOKENS, call()) + module.shared(TOKENS, call())
    torch.testing.assert_close(module(TOKENS, call()), wanted, rtol=1e-5, atol=1e-6)
    assert torch.allclose(gates, torch.ones(()), atol=1e-6) == isinstance(router, Renormalised)


def test_the_order_of_experts_means_nothing():
    module, other = build(FOUR), build(FOUR)
    order = [2, 0, 3, 1]
    with torch.no_grad():
        other.load_state_dict(module.state_dict())
        other.router.linear.weight.copy_(module.router.linear.weight[order])
        for i, j in enumerate(order):
            other.experts[i].load_state_dict(module.experts[j].state_dict())
    torch.testing.assert_close(other(TOKENS, call()), module(TOKENS, call()), rtol=1e-5, atol=1e-6)


def test_training_and_evaluation_compute_the_same():
    module = build(FOUR)
    assert torch.equal(module.train()(TOKENS, call()), module.eval()(TOKENS, call()))


@settings(max_examples=25, deadline=None)
@given(experts=st.integers(1, 5), data=st.data())
def test_each_choice_is_computed_once_and_an_expert_sees_its_own_tokens_only(experts, data):
    active = data.draw(st.integers(1, experts))
    module = build(Experts(experts=experts, active=active, shared=None))
    seen = []
    for expert in module.experts:
        expert.register_forward_hook(lambda m, args, out: seen.append(args[0].h.shape[1]))
    module(TOKENS, call())
    counts = torch.bincount(module.router(TOKENS.h).ids.flatten(), minlength=experts)
    assert seen == counts.tolist()
    assert sum(seen) == 18 * active


def test_an_expert_without_tokens_gets_a_gradient_of_zeros():
    module = build(replace(FOUR, shared=None))
    with torch.no_grad():
        module.router.linear.weight.zero_()
        module.router.linear.weight[:2] = 0.1  # of the others' equal scores the first win
    tokens = Tokens.of(torch.ones(1, 6, 8))
    module(tokens, call(tokens)).sum().backward()
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in module.experts[3].parameters())


@settings(max_examples=25, deadline=None)
@given(most=st.integers(1, 6), seed=st.integers(0, 99))
def test_overflow_is_what_is_beyond_each_experts_best(most, seed):
    scores = torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(seed)).softmax(-1)
    gates, ids = scores.topk(2, -1)
    left = overflow(Routed(scores, ids, gates), most)
    for row in range(2):
        for expert in range(3):
            of = ids[row] == expert
            taken, out = scores[row, :, expert][(of & ~left[row]).any(-1)], (of & left[row])
            assert len(taken) == min(most, int(of.sum()))
            assert int(out.sum()) == max(0, int(of.sum()) - most)
            if out.any():
                assert scores[row, :, expert][out.any(-1)].max() <= taken.min()


def test_what_overflows_is_counted_and_keeps_the_rest():
    module = build(replace(FOUR, capacity=0.5))
    passed = call()
    out = module(TOKENS, passed)
    routed = module.router(TOKENS.h)
    left = overflow(routed, 2)  # half of 6 * 2 / 4, rounded up
    torch.testing.assert_close(passed.side.extras.aux["overflow"], left.sum((1, 2)).float())
    assert left.any()
    whole = build(FOUR)
    whole.load_state_dict(module.state_dict())
    gates = routed.gates.masked_fill(left, 0.0)
    every = torch.stack([expert(TOKENS, call()) for expert in whole.experts], 2)
    weight = torch.zeros_like(routed.scores).scatter(-1, routed.ids, gates)
    wanted = (every * weight.unsqueeze(-1)).sum(2) + whole.shared(TOKENS, call())
    torch.testing.assert_close(out, wanted, rtol=1e-5, atol=1e-6)


def test_room_enough_leaves_nothing_out():
    module, passed = build(replace(FOUR, capacity=4.0)), call()
    whole = build(FOUR)
    whole.load_state_dict(module.state_dict())
    assert torch.equal(module(TOKENS, passed), whole(TOKENS, call()))
    assert torch.equal(passed.side.extras.aux["overflow"], torch.zeros(3))


@pytest.mark.parametrize("capacity", [None, 0.7])
def test_a_row_does_not_depend_on_its_batch(capacity):
    module = build(replace(FOUR, capacity=capacity))
    out = module(TOKENS, call())
    rows = TOKENS.rows(torch.tensor([2]))
    torch.testing.assert_close(module(rows, call(rows)), out[2:], rtol=1e-5, atol=1e-6)


def test_wrong_numbers_are_refused():
    for wrong in ({"experts": 0}, {"active": 0}, {"experts": 2, "active": 3}, {"capacity": 0.0}):
        with pytest.raises(FrisketError, match=r"ffn\."):
            Experts(**wrong)


def mixture(config, depth=2, **facts):
    block = Block(branches=(Branch(name="attn", mixer=Attention()), Branch(name="ffn", mixer=config)))
    return Transformer(
        width=16, heads=2, input=Patches(channels=2, size=(4, 4)), output=PatchesOut(channels=2),
        doors=(Door(embedder=ClassIds(classes=5)),), blocks=repeat(block, depth), **facts,
    )  # fmt: skip


X, T = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0.2, 0.7])
COND = Condition.of(label=torch.tensor([1, 4]))


def test_a_backbone_of_experts_keeps_its_promises():
    check_backbone(mixture(replace(FOUR, active=4)), spec=Spec(kind="continuous", shape=(2, 4, 4)))


def test_balance_is_a_loss_of_the_output_while_training_and_reaches_the_router_alone():
    model = mixture(FOUR).build()
    out = model(X, T, COND)
    assert set(out.losses) == {"balance"}
    assert out.losses["balance"] >= 0.02  # both blocks, at least the weight each
    (0 * out.pred.sum() + out.losses["balance"]).backward()
    for block in model.blocks:
        ffn = block.branches["ffn"].mixer
        assert (ffn.router.linear.weight.grad != 0).any()
        assert all(not p.grad.any() for p in ffn.experts.parameters())
    assert not model.eval()(X, T, COND).losses


def test_rows_that_skip_a_span_overflow_nothing():
    model = mixture(replace(FOUR, capacity=0.25), depth=3, plan=Routing(low=1, high=2)).build()
    ids = torch.tensor([[0, 1, 2, 3], [-1, -1, -1, -1]])
    some, every = model(X, T, COND, {"route": ids}).aux["overflow"], model(X, T, COND).aux["overflow"]
    assert some.shape == (2,)
    assert some[1] < every[1]


def test_only_active_experts_are_counted():
    per_token = {}
    for active in (1, 2, 4):
        config = mixture(replace(FOUR, active=active))
        with torch.device("meta"):
            per_token[active] = count_macs(config.build(), (2, 4, 4))
    expert = 2 * 4 * 12 * 16**2  # blocks, tokens, 3 matrices of ratio 4
    assert per_token[2] - per_token[1] == expert
    assert per_token[4] - per_token[2] == 2 * expert
    many = count_macs(mixture(Experts(experts=8)).build(), (2, 4, 4))
    assert many - per_token[2] == 2 * 4 * 4 * 16  # longer routers, no more experts


def test_a_real_pass_multiplies_as_much_as_is_counted():
    module, counts = build(FOUR), []
    for device in ("cpu", "meta"):
        tokens = Tokens.of(TOKENS.h.to(device))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module.to(device)(tokens, call(tokens))
        counts.append(counter.get_total_flops() // 2)
    assert counts == [18 * (2 * 12 + 6) * 8**2 + 18 * 4 * 8] * 2


def test_what_the_router_says_is_a_site():
    model = mixture(FOUR).build().eval()
    seen = []

    def first(call, args, step):
        routed = call(*args)
        seen.append(routed)
        return replace(routed, ids=torch.zeros_like(routed.ids))

    assert "block[1].ffn.route" in model.sites()
    with install(model, {"block[:].ffn.route": first}), use_step(Step(seed=0, sample=torch.arange(2))):
        model(X, T, COND)
    assert len(seen) == 2
    assert seen[0].ids.shape == (2, 4, 2)


def test_sample_balance_is_the_same_in_pieces():
    config = mixture(replace(FOUR, balance=SampleBalance(), expert=SwiGLU(ratio=1.0)))
    model = config.build()
    whole = model(X, T, COND).losses["balance"]
    parts = [model(X[i : i + 1], T[i : i + 1], COND.rows(slice(i, i + 1))).losses["balance"] for i in range(2)]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)

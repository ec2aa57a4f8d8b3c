"""One pass: spans, handlers and edits together."""

from __future__ import annotations

import pytest
import torch

from frisket.adapters.depth import InsertBlock
from frisket.core import FrisketError, apply_edits, install, use_step
from frisket.core.condition import Condition
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import count_macs
from frisket.models.doors import Door
from frisket.models.layers.attention import Cross
from frisket.models.layers.embedders import TextIds
from frisket.models.plans.fusion import Fused
from frisket.models.plans.routing import Routing
from frisket.testing.backbones import stir
from frisket.testing.claims import STEP, example_state

X, T = example_state((1, 8, 8)), torch.tensor([0.1, 0.4, 0.6, 0.9])
IDS = STEP.draw("test/ids", (16,), "uniform").argsort(1)[:, :6]


def model_of(depth=5, **more):
    model = Transformer(width=32, heads=4, blocks=repeat(Block(), depth), **more).build()
    stir(model, 0.1)
    return model


def passing(call, args, step):
    return call(*args)


def test_handlers_inside_and_around_a_span_change_nothing():
    model = model_of(plan=Fused(low=1, high=-1))
    for keep in (None, {"middle": IDS}):
        plain = model(X, T, keep=keep).pred
        for sites in (["blocks[0:5]"], ["blocks[1:4]"], ["blocks[2:3]", "block[2].attn"], ["block[1]", "blocks[1:4]"]):
            with install(model, dict.fromkeys(sites, passing)), use_step(STEP):
                assert torch.equal(model(X, T, keep=keep).pred, plain)


def test_the_handler_on_a_span_sees_all_tokens_and_those_inside_only_the_kept():
    model = model_of(plan=Routing(low=1, high=-1))
    seen = []

    def count(call, args, step):
        seen.append((len(args[-1].h), args[-1].tags.n, len(step.sample)))
        return call(*args)

    ids = IDS.clone()
    ids[0] = -1
    with install(model, {"blocks[1:4]": count, "block[2]": count}), use_step(STEP):
        model(X, T, keep={"route": ids})
    assert seen == [(4, 16, 4), (3, 6, 3)]


def test_a_handler_that_crosses_a_span_in_use_is_refused_and_not_listed():
    model = model_of(plan=Routing(low=1, high=-1))
    assert "blocks[0:2]" not in model.sites()
    assert "blocks[1:3]" in model.sites()
    plain = model_of()
    with install(plain, {"blocks[0:2]": passing}), use_step(STEP), pytest.raises(FrisketError, match="overlap"):
        plain(X, T, keep={"blocks[1:4]": IDS})


def test_unknown_spans_are_refused_before_any_work():
    model = model_of(plan=Routing(low=1, high=-1))
    called = []
    look = {"embed": lambda call, args, step: called.append(1) or call(*args)}
    with install(model, look), use_step(STEP), pytest.raises(FrisketError, match="did you mean 'route'"):
        model(X, T, keep={"rout": IDS})
    assert not called


def test_a_span_outlives_an_edit_of_the_depth():
    model = model_of(plan=Routing(low=1, high=-1))
    plain = model(X, T, keep={"route": IDS}).pred
    apply_edits(model, [InsertBlock(at=2, block=Block())])
    assert model.plan.runs(len(model.blocks)) == {"route": (1, 5)}
    assert torch.equal(model(X, T, keep={"route": IDS}).pred, plain)  # a fresh block adds nothing


def test_contexts_and_steps_follow_the_rows_that_pass():
    """Rows that skip a span leave the others what they would be alone, text, time and dropout included."""
    block = Block(branches=(Branch(name="attn", dropout=0.5), Branch(name="cross", mixer=Cross())))
    door = Door(name="text", way="context", embedder=TextIds(vocabulary=9, length=5))
    model = Transformer(width=32, heads=4, blocks=repeat(block, 3), doors=(door,)).build().train()
    stir(model, 0.1)
    text = torch.randint(0, 9, (4, 5), generator=torch.Generator().manual_seed(0))
    ids = IDS.clone()
    ids[1] = -1
    rows = torch.tensor([0, 2, 3])
    with use_step(STEP):
        some = model(X, T, Condition.of(text=text), {"blocks[1:3]": ids}).pred
    with use_step(STEP.rows(rows)):
        alone = model(X[rows], T[rows], Condition.of(text=text[rows]), {"blocks[1:3]": ids[rows]}).pred
    torch.testing.assert_close(some[rows], alone, rtol=1e-5, atol=1e-5)


def test_local_times_are_gathered_with_their_tokens():
    model = model_of()
    local = (
        torch.linspace(0, 1, 16)
        .reshape(1, 1, 4, 4)
        .repeat_interleave(2, 2)
        .repeat_interleave(2, 3)
        .expand(4, -1, -1, -1)
    )
    dense = model(X, local).pred
    orders = STEP.draw("test/order", (16,), "uniform").argsort(1)
    torch.testing.assert_close(model(X, local, keep={"blocks[1:4]": orders}).pred, dense, rtol=1e-5, atol=1e-5)


def test_a_span_costs_what_its_tokens_cost():
    model = model_of(plan=Routing(low=1, high=-1))
    dense, none = count_macs(model, (1, 8, 8)), count_macs(model, (1, 8, 8), kept={"route": 0})
    half = count_macs(model, (1, 8, 8), kept={"route": 8})
    one_block = 16 * 12 * 32 * 32 + 2 * 16 * 16 * 32 + 6 * 32 * 32
    assert dense - none == 3 * one_block
    assert half - none == 3 * (8 * 12 * 32 * 32 + 2 * 8 * 8 * 32 + 6 * 32 * 32)

"""Long skips, alone and with spans."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError, install, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.plans.interpolater import Interpolated
from frisket.models.plans.routing import Routing
from frisket.models.skips import LongSkip, u_shape
from frisket.testing import check_config
from frisket.testing.backbones import stir
from frisket.testing.claims import STEP, example_state

X, T = example_state((1, 8, 8)), torch.tensor([0.1, 0.4, 0.6, 0.9])
IDS = STEP.draw("test/ids", (16,), "uniform").argsort(1)[:, :9]


def model_of(skips, depth=4, plan=None):
    model = Transformer(width=32, heads=4, blocks=repeat(Block(), depth), skips=skips, plan=plan).build()
    stir(model, 0.1)
    return model


def flows(model, keep=None):
    """What goes into and comes out of each block."""
    seen = {}

    def look(i):
        def handle(call, args, step):
            out = call(*args)
            seen[i] = (args[-1].h, out.h)
            return out

        return handle

    sites = {f"block[{i}]": look(i) for i in range(len(model.blocks))}
    with install(model, sites), use_step(STEP), torch.no_grad():
        model(X, T, keep=keep)
    return seen


def test_a_fold_pairs_blocks_from_the_middle_outwards():
    assert [(s.source, s.target) for s in u_shape(3)] == [(2, 3), (1, 4), (0, 5)]
    check_config(LongSkip(source=-1, target=2))


def test_a_block_reads_the_linear_join_of_its_input_and_the_skip():
    model = model_of((LongSkip(source=0, target=2), LongSkip(source=-1, target=3)))
    seen = flows(model)
    join = model.plan.skips.linears
    torch.testing.assert_close(seen[2][0], join["2"](torch.cat([seen[1][1], seen[0][1]], -1)))
    torch.testing.assert_close(seen[3][0], join["3"](torch.cat([seen[2][1], model.embed(X, T, None)[0].h], -1)))


def test_skips_inside_a_span_live_on_the_tokens_that_pass_and_those_from_outside_are_gathered():
    skips = (*u_shape(1), LongSkip(source=-1, target=2))
    model = model_of(skips, plan=Interpolated(decoder=2))
    seen = flows(model, {"encoder": IDS})
    join = model.plan.skips.linears
    assert [seen[i][0].shape[1] for i in range(4)] == [9, 9, 16, 16]
    torch.testing.assert_close(seen[1][0], join["1"](torch.cat([seen[0][1], seen[0][1]], -1)))
    routed = model_of((LongSkip(source=0, target=2),), plan=Routing(low=1, high=-1))
    seen = flows(routed, {"route": IDS})
    outside = seen[0][1].gather(1, IDS[..., None].expand(-1, -1, 32))
    torch.testing.assert_close(seen[2][0], routed.plan.skips.linears["2"](torch.cat([seen[1][1], outside], -1)))


def test_a_skip_that_leaves_a_span_is_refused():
    with pytest.raises(FrisketError, match="leaves the span 'route'"):
        model_of((LongSkip(source=1, target=3),), plan=Routing(low=1, high=-1))
    model = model_of((LongSkip(source=1, target=3),))
    with pytest.raises(FrisketError, match="leaves the span"):
        model(X, T, keep={"blocks[0:3]": IDS})


@pytest.mark.parametrize(
    "skips", [(LongSkip(source=0, target=4),), (LongSkip(source=0, target=2), LongSkip(source=1, target=2))]
)
def test_targets_that_do_not_exist_or_have_two_skips_are_refused(skips):
    with pytest.raises(FrisketError, match="skip"):
        model_of(skips)


def test_a_skip_backwards_is_refused():
    with pytest.raises(FrisketError, match="skip"):
        LongSkip(source=2, target=2)

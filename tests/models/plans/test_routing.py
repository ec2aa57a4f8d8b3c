"""Tokens that wait come back as they were."""

from __future__ import annotations

import pytest
import torch

from frisket.core import Condition, install, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import count_parameters
from frisket.models.plans.routing import Routing
from frisket.testing import check_plan
from frisket.testing.backbones import stir
from frisket.testing.claims import STEP, example_state


def model_of(plan=None, depth=5):
    model = Transformer(width=32, heads=4, blocks=repeat(Block(), depth), plan=plan).build()
    stir(model, 0.1)
    return model


X, T = example_state((1, 8, 8)), torch.tensor([0.1, 0.4, 0.6, 0.9])


def test_a_route_keeps_the_promises():
    check_plan(Routing(low=1, high=-1))


def test_it_owns_nothing_so_weights_are_those_of_the_plain_network():
    routed, plain = model_of(Routing(), 6), model_of(depth=6)
    assert count_parameters(routed) == count_parameters(plain)
    plain.load_state_dict(routed.state_dict())
    assert torch.equal(plain(X, T).pred, routed(X, T).pred)


@pytest.mark.parametrize("name", ["route", "blocks[0:2]"])
def test_tokens_that_do_not_pass_are_behind_the_span_what_they_were_in_front_of_it(name):
    model = model_of(Routing(low=2, high=-1))
    ids = STEP.draw("test/order", (16,), "uniform").argsort(1)[:, :6]
    low, high = (2, 4) if name == "route" else (0, 2)
    seen = {}

    def look(where):
        def handle(call, args, step):
            seen[where] = (args[-1].h, args[-1].tags.n)
            return call(*args)

        return handle

    with install(model, {f"block[{i}]": look(i) for i in range(5)}), use_step(STEP):
        model(X, T, keep={name: ids})
    counts = [seen[i][1] for i in range(5)]
    assert counts == [6 if low <= i < high else 16 for i in range(5)]
    waits = torch.ones(4, 16, dtype=torch.bool).scatter(1, ids, False)
    before = model.embed(X, T, None)[0].h if low == 0 else None
    with install(model, {f"blocks[{low}:{high}]": look("front")}), use_step(STEP):
        model(X, T, keep={name: ids})
    before = seen["front"][0]
    assert torch.equal(seen[high][0][waits], before[waits])
    assert (seen[high][0][~waits] - before[~waits]).abs().min() > 0


def test_the_gradient_of_a_waiting_token_does_not_touch_the_blocks():
    """With one token passing and the loss on the others just behind the span, the span's blocks learn nothing."""
    model = model_of(depth=3)
    ids = torch.zeros(4, 1, dtype=torch.int64)
    taken = {}

    def tap(call, args, step):
        taken["h"] = call(*args).h
        return args[0].with_h(taken["h"])

    with install(model, {"blocks[0:3]": tap}), use_step(STEP):
        model(X, T, keep={"blocks[0:3]": ids})
    taken["h"][:, 1:].square().mean().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.blocks.parameters())
    assert model.input.linear.weight.grad.abs().sum() > 0


def test_conditions_in_sequence_always_pass():
    from frisket.models.doors import Door
    from frisket.models.layers.embedders import TextIds

    door = Door(name="text", way="tokens", embedder=TextIds(vocabulary=9, length=5))
    model = Transformer(width=32, heads=4, blocks=repeat(Block(), 3), doors=(door,)).build()
    stir(model, 0.1)
    cond = Condition.of(text=torch.randint(0, 9, (4, 5), generator=torch.Generator().manual_seed(0)))
    seen = []
    with (
        install(model, {"block[1]": lambda call, args, step: seen.append(args[-1].tags.n) or call(*args)}),
        use_step(STEP),
    ):
        model(X, T, cond, {"blocks[1:2]": torch.zeros(4, 1, dtype=torch.int64)})
        every = model(X, T, cond, {"blocks[1:2]": torch.arange(16).expand(4, -1)}).pred
    assert seen == [6, 21]
    assert torch.equal(every, model(X, T, cond).pred)

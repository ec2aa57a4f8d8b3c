"""Value residual: what lambda 0 and 1 mean, which tokens' values are mixed, and what is refused."""

from __future__ import annotations

import pytest
import torch

from frisket.core.condition import Condition
from frisket.core.errors import FrisketError
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.values import Kept, Residual
from frisket.testing import check_config
from frisket.testing.backbones import stir

X = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
T = torch.tensor([0.2, 0.5, 0.9])
COND = Condition.of(label=torch.tensor([0, 1, 2]))
STEP = Step(seed=0, sample=torch.arange(3))


def block(values):
    return Block(branches=(Branch(name="attn", mixer=Attention(values=values)), Branch(name="ffn", mixer=Gelu())))


KEPT, MIXED = Kept(), Residual()


def network(first=KEPT, rest=MIXED, depth=3):
    config = Transformer(
        width=16,
        heads=2,
        doors=(Door(embedder=ClassIds(classes=3)),),
        blocks=(block(first), *repeat(block(rest), depth - 1)),
    )
    model = config.build()
    stir(model, 0.2)
    return model


def values_of(model, keep=None):
    """The values that every attention reads, and the ids of the tokens it saw."""
    seen = {}

    def note(name):
        def handle(call, args, step):
            seen[name] = (args[2], args[4].index)
            return call(*args)

        return handle

    with torch.no_grad(), use_step(STEP), install(model, {f"block[{i}].attn.attend": note(i) for i in range(3)}):
        pred = model(X, T, COND, keep).pred
    return pred, seen


def share(model, number):
    with torch.no_grad():
        for block in list(model.blocks)[1:]:
            block.branches["attn"].mixer.values.share.fill_(number)
    return model


def test_lambda_zero_is_no_residual_and_lambda_one_copies_the_first_values():
    check_config(Attention(values=Residual()))
    plain, model = network(None, None), share(network(), 0.0)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.endswith("values.share")})
    with torch.no_grad():
        assert torch.equal(model(X, T, COND).pred, plain(X, T, COND).pred)
    _, seen = values_of(share(model, 1.0))
    assert torch.equal(seen[1][0], seen[0][0])
    assert torch.equal(seen[2][0], seen[0][0])


def test_the_number_starts_at_a_half_and_learns():
    model = network()
    names = [n for n, _ in model.named_parameters() if n.endswith("values.share")]
    assert names == [f"blocks.{i}.branches.attn.mixer.values.share" for i in (1, 2)]
    fresh = model.config.build()
    assert all(p == 0.5 for n, p in fresh.named_parameters() if n in names)
    model(X, T, COND).pred.square().mean().backward()
    assert all(p.grad.abs() > 0 for n, p in model.named_parameters() if n in names)


def test_tokens_that_are_left_out_are_left_out_of_the_first_values():
    ids = torch.tensor([[5, 1, 9], [-1, -1, -1], [0, 15, 2]])
    _, seen = values_of(share(network(), 1.0), {"blocks[1:2]": ids})
    whole = seen[0][0]
    inside, index = seen[1]
    assert inside.shape[0] == 2
    for row, source in enumerate((0, 2)):
        assert index[row].tolist() == ids[source].tolist()
        assert torch.equal(inside[row], whole[source][:, ids[source]])
    assert torch.equal(seen[2][0], whole)


def test_a_span_over_all_blocks_mixes_what_it_keeps():
    ids = torch.tensor([[5, 1, 9], [3, 4, 6], [0, 15, 2]])
    _, seen = values_of(share(network(), 1.0), {"blocks[0:3]": ids})
    assert torch.equal(seen[2][0], seen[0][0])
    assert seen[0][0].shape[2] == 3


def test_values_are_of_one_pass():
    model = network()
    with torch.no_grad():
        first = model(X, T, COND).pred
        model(X + 1, T, COND)
        assert torch.equal(model(X, T, COND).pred, first)


def test_values_that_nobody_kept_are_refused():
    with pytest.raises(FrisketError, match="values/kept"):
        network(first=None)(X, T, COND)
    ids = torch.tensor([[5, 1, 9], [3, 4, 6], [0, 15, 2]])
    with pytest.raises(FrisketError, match="only some"):
        network()(X, T, COND, {"blocks[0:1]": ids})
    model = network()

    def answer(call, args, step):
        return torch.zeros_like(args[0].h)

    with use_step(STEP), install(model, {"block[0].attn": answer}), pytest.raises(FrisketError, match="values/kept"):
        model(X, T, COND)

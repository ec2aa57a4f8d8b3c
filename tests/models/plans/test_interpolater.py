"""The side block fills in what did not pass."""

from __future__ import annotations

import pytest
import torch

from frisket.core import install, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.layers.positions import RelativeBias, SinCos, sincos
from frisket.models.plans.interpolater import Interpolated
from frisket.testing import check_plan
from frisket.testing.backbones import stir
from frisket.testing.claims import STEP, example_state

X, T = example_state((1, 8, 8)), torch.tensor([0.1, 0.4, 0.6, 0.9])
IDS = STEP.draw("test/ids", (16,), "uniform").argsort(1)[:, :9]


def model_of(positions=None):
    plan = Interpolated(decoder=2)
    model = Transformer(
        width=32, heads=4, positions=positions or SinCos(), blocks=repeat(Block(), 4), plan=plan
    ).build()  # fmt: skip
    stir(model, 0.1)
    return model


def boundary(model, keep):
    """What the decoder's first block is given."""
    seen = []
    look = {"block[2]": lambda call, args, step: seen.append(args[-1].h) or call(*args)}
    with install(model, look), use_step(STEP), torch.no_grad():
        model(X, T, keep=keep)
    return seen[0]


def inside(model, keep):
    seen = []

    def look(call, args, step):
        seen.append(call(*args))
        return seen[0]

    with install(model, {"block[1]": look}), use_step(STEP), torch.no_grad():
        model(X, T, keep=keep)
    return seen[0].h


def test_it_keeps_the_promises():
    check_plan(Interpolated(decoder=2))


@pytest.mark.parametrize("positions", [SinCos(), RelativeBias()])
def test_seen_tokens_at_the_boundary_are_the_encoders_and_their_places(positions):
    model = model_of(positions)
    table = model.plan.returns["encoder"].table
    out, encoded = boundary(model, {"encoder": IDS}), inside(model, {"encoder": IDS})
    assert torch.equal(out.gather(1, IDS[..., None].expand(-1, -1, 32)), encoded + table[IDS])


def test_a_dense_pass_adds_places_and_ignores_token_and_side_block():
    model = model_of()
    back = model.plan.returns["encoder"]
    plain = model(X, T).pred
    assert torch.equal(boundary(model, None), inside(model, None) + back.table)
    with torch.no_grad():
        back.token.add_(1.0)
    stir(back.block, 1.0)
    assert torch.equal(model(X, T).pred, plain)
    masked = model(X, T, keep={"encoder": IDS}).pred
    stir(back.block, 1.0)
    assert not torch.allclose(model(X, T, keep={"encoder": IDS}).pred, masked)


def test_the_second_table_starts_as_sinusoids():
    model = Transformer(width=32, heads=4, blocks=repeat(Block(), 4), plan=Interpolated()).build()
    table = model.plan.returns["encoder"].table
    assert table.requires_grad
    assert torch.equal(table, sincos(model.sizes.grid.coords(), 32, 10_000.0))


def test_places_follow_tokens_of_a_smaller_sequence():
    """A run around the whole network computes some tokens; the places added inside are still theirs."""
    model = model_of()
    orders = STEP.draw("test/order", (16,), "uniform").argsort(1)
    torch.testing.assert_close(model(X, T, keep={"blocks[:]": orders}).pred, model(X, T).pred, rtol=1e-5, atol=1e-5)

"""Entries beside the grid: one token each, a prediction each, part of the state and without a place."""

from __future__ import annotations

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core.condition import Condition
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import count_macs, count_macs_chosen
from frisket.models.doors import Door
from frisket.models.encoders import TokenEncoder
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches
from frisket.models.layers.entries import Vector, fitted
from frisket.models.layers.positions import Rotary
from frisket.models.plans.choose import Uniform
from frisket.models.plans.fusion import Fused
from frisket.testing import check_config
from frisket.testing.backbones import stir

SPEC = Spec(kind="continuous", shape=(1, 4, 4), beside={"cls": (5,), "style": (3,)})
T = torch.tensor([0.2, 0.5, 0.9])
COND = Condition.of(label=torch.tensor([0, 1, 2]))
DOORS = (Door(embedder=ClassIds(classes=3)),)
CONFIG = Transformer(width=16, heads=2, input=Patches(patch=1), doors=DOORS, blocks=repeat(Block(), 3))


def state(rows=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return {n: torch.randn(rows, *s, generator=g) for n, s in SPEC.shapes.items()}


def network(**changes):
    model = CONFIG.__class__(**{**vars(CONFIG), **changes}).fit(SPEC, 1, {"label": 3}).build()
    stir(model, 0.2)
    return model


def test_fit_adds_the_entries_that_the_state_has_and_leaves_out_others():
    held = (Vector(name="gone", numbers=9), Vector(name="style", norm=None))
    assert fitted(held, SPEC.beside) == (Vector(name="cls", numbers=5), Vector(name="style", numbers=3, norm=None))
    plain = CONFIG.fit(Spec(kind="continuous", shape=(1, 4, 4)), 1, {})
    assert plain.beside == ()
    with pytest.raises(FrisketError, match="vectors"):
        fitted((), {"map": (2, 2)})
    check_config(CONFIG.fit(SPEC, 1, {"label": 3}))


def test_every_entry_is_predicted_and_hears_the_others():
    model, x = network(), state()
    pred = model(x, T, COND).pred
    assert {n: tuple(v.shape[1:]) for n, v in pred.items()} == SPEC.shapes
    for name in x:
        other = model({**x, name: x[name] + 1}, T, COND).pred
        assert all((other[n] - pred[n]).abs().max() > 1e-4 for n in pred)
    pred["style"].square().mean().backward()
    assert model.beside.vectors["cls"].embed.weight.grad.abs().max() > 0
    rows = torch.tensor([2, 0])
    some = model({n: v[rows] for n, v in x.items()}, T[rows], COND.rows(rows)).pred
    for name in pred:
        torch.testing.assert_close(some[name], pred[name][rows], rtol=1e-4, atol=1e-5)


def test_their_tokens_stand_behind_the_grid_with_coordinates_zero():
    model = network(positions=Rotary(layout="interleaved"))
    tags = model.tags(state())
    assert tags.n == 18
    assert tags is model.tags(state(1))
    assert torch.equal(tags.coords[16:], torch.zeros(2, 2))
    q = torch.randn(3, 2, 18, 8, generator=torch.Generator().manual_seed(1))
    turned, _, _ = model.positions.placing.place(q, q, tags, tags)
    assert torch.equal(turned[:, :, 16:], q[:, :, 16:])
    assert (turned[:, :, 1:16] - q[:, :, 1:16]).abs().amax(-1).min() > 0


def test_they_may_be_left_out_of_a_span_like_any_token():
    model, x = network(plan=Fused(low=1, high=-1, choose=Uniform(drop=0.75, floor="kept"))), state()
    every = torch.arange(18).expand(3, -1)
    dense, kept = model(x, T, COND).pred, model(x, T, COND, {"middle": every}).pred
    assert all(torch.equal(dense[n], kept[n]) for n in dense)
    step = Step(seed=0, sample=torch.arange(400))
    ids = Uniform(drop=0.75, floor="kept").ids(model.tags(x), step, "plan", None)
    assert ids.shape == (400, 4)
    assert 0.1 < (ids == 16).any(1).double().mean() < 0.35
    without = model(x, T, COND, {"middle": torch.tensor([[0, 1]] * 3)}).pred
    assert torch.isfinite(without["cls"]).all()
    with pytest.raises(FrisketError, match="different tokens"):
        model(x, T, COND, {"middle": torch.tensor([[0, 18]] * 3)})


def test_their_cost_is_counted():
    model, plain = network(), CONFIG.fit(Spec(kind="continuous", shape=(1, 4, 4)), 1, {"label": 3}).build()
    ends = 2 * (5 + 3) * 16
    a_block = 12 * 16 * 16
    attention = 2 * 16 * (18**2 - 16**2)
    wanted = count_macs(plain, (1, 4, 4)) + ends + 3 * (2 * a_block + attention)
    assert count_macs(model, SPEC.shapes) == wanted
    sparse = network(plan=Fused(low=1, high=-1))
    assert count_macs_chosen(sparse, SPEC.shapes, {"middle": Uniform(drop=0.5)}) < count_macs(sparse, SPEC.shapes)


def test_other_entries_than_it_reads_are_refused():
    model, x = network(), state()
    plain = CONFIG.fit(Spec(kind="continuous", shape=(1, 4, 4)), 1, {"label": 3}).build()
    for wrong in (x["x"], {n: x[n] for n in ("x", "cls")}, {**x, "more": x["cls"]}, {**x, "cls": x["cls"][:, :2]}):
        with pytest.raises(FrisketError, match="entries|shape of"):
            model(wrong, T, COND)
    with pytest.raises(FrisketError, match="entries"):
        plain(x, T, COND)
    with pytest.raises(FrisketError, match="one a sample"):
        model(x, torch.rand(3, 1, 4, 4), COND)
    with pytest.raises(FrisketError, match="beside"):
        network(encoder=TokenEncoder())
    for name in ("x", "not a name"):
        with pytest.raises(FrisketError, match="name"):
            Vector(name=name)

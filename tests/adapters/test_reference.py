"""References: without one the model is what it was, exactly; order does not matter; places and times do."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from frisket.adapters.reference import Reference, RestrictAttention, streams
from frisket.core import FrisketError, apply_edits
from frisket.core.condition import Condition
from frisket.core.edits import build_edited
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import count_macs, count_parameters
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds, Image
from frisket.models.layers.positions import Learned, Rotary, SinCos
from frisket.models.masks.tags import Streams
from frisket.testing import check_edit

G = torch.Generator().manual_seed(0)
X, A, B = (torch.randn(3, 1, 8, 8, generator=G) for _ in range(3))
T, LABEL = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0, 2, 1])
ALIGNED, BESIDE = Reference(name="a"), Reference(name="b", offset=(0.0, 1.0))


def config(positions=None):
    return Transformer(
        width=16, heads=2, positions=positions or Rotary(), doors=(Door(embedder=ClassIds(classes=3)),),
        blocks=repeat(Block(), 2),
    )  # fmt: skip


def randomised(*edits, positions=None):
    model = config(positions).build()
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.normal_(0.0, 0.3, generator=g)
    return apply_edits(model, edits)


def call(model, t=T, **references):
    return model(X, t, Condition.of(label=LABEL, **references)).pred


@pytest.mark.parametrize("positions", [Rotary(), SinCos()])
def test_a_model_that_is_given_none_is_the_model_it_was(positions):
    plain, edited = randomised(positions=positions), randomised(ALIGNED, BESIDE, positions=positions)
    assert torch.equal(call(edited), call(plain))
    assert count_parameters(edited) == count_parameters(plain)
    assert edited.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("time", [0.0, None])
def test_rows_whose_references_are_dropped_are_the_models_own(time):
    plain, edited = randomised(), randomised(Reference(name="a", time=time), Reference(name="b", time=time))
    where = torch.tensor([True, False, True])
    cond = Condition.of(label=LABEL, a=A, b=B).without("a", "b", where=where)
    out = edited(X, T, cond).pred
    assert torch.allclose(out[where], call(plain)[where], atol=1e-5)
    assert torch.allclose(out[1], call(edited, a=A, b=B)[1], atol=1e-5)
    assert not torch.allclose(out[1], call(plain)[1], atol=1e-2)


def test_it_round_trips_and_builds_on_meta():
    class Filled:
        build = staticmethod(lambda: randomised() if torch.empty(0).device.type != "meta" else config().build())

    check_edit(BESIDE, Filled, lambda m: call(m), exact=0.0)
    check_edit(RestrictAttention(), Filled, lambda m: call(m), exact=0.0)


def test_the_order_of_references_does_not_matter():
    one, two = randomised(ALIGNED, BESIDE), randomised(BESIDE, ALIGNED)
    assert torch.allclose(call(one, a=A, b=B), call(two, a=A, b=B), atol=1e-5)


def test_a_reference_counts_where_it_stands():
    beside, same = randomised(BESIDE), randomised(Reference(name="b"))
    assert not torch.allclose(call(beside, b=B), call(same, b=B), atol=1e-2)


def test_it_is_modulated_at_its_own_time():
    """With isolated references what they become does not depend on the state's time; without a time of its own it does."""
    for own, constant in ((0.0, True), (None, False)):
        model = randomised(Reference(name="a", time=own), RestrictAttention())
        kept = []
        for t in (torch.full((3,), 0.2), torch.full((3,), 0.8)):
            kept.append(reference_keys(model, t))
        assert torch.equal(*kept) == constant


def reference_keys(model, t):
    seen = []

    def tap(call, args, step):
        seen.append(args[1][:, :, 16:].detach().clone())  # keys behind the 16 tokens of the state
        return call(*args)

    step = Step(seed=0, sample=torch.arange(3))
    with use_step(step), install(model, {"block[1].attn.attend": tap}):
        call(model, t, a=A)
    return seen[0]


def test_at_time_zero_own_and_shared_time_agree():
    own, shared = randomised(Reference(name="a", time=0.0)), randomised(Reference(name="a", time=None))
    zero = torch.zeros(3)
    assert torch.allclose(call(own, zero, a=A), call(shared, zero, a=A), atol=1e-5)


def test_state_times_that_differ_by_place_go_with_it():
    model = randomised(ALIGNED)
    local = torch.full((3, 1, 8, 8), 0.3)
    assert torch.allclose(call(model, local, a=A), call(model, torch.full((3,), 0.3), a=A), atol=1e-5)


def test_isolated_keys_and_values_put_back_give_the_same_output():
    """What a cache of references rests on: keys and values of the first step serve another."""
    model, step = randomised(ALIGNED, BESIDE, RestrictAttention()), Step(seed=0, sample=torch.arange(3))
    held = {}

    def keep(site):
        def handle(call, args, step):
            held[site] = [args[i][:, :, 16:].clone() for i in (1, 2)]
            return call(*args)

        return handle

    def reuse(site):
        def handle(call, args, step):
            q, k, v, *rest = args
            k, v = (torch.cat([new[:, :, :16], old], 2) for new, old in zip((k, v), held[site], strict=True))
            return call(q, k, v, *rest)

        return handle

    sites = [f"block[{i}].attn.attend" for i in range(2)]
    later = torch.full((3,), 0.7)
    with use_step(step):
        plain = call(model, later, a=A, b=B)
        with install(model, {s: keep(s) for s in sites}):
            call(model, T, a=A, b=B)
        with install(model, {s: reuse(s) for s in sites}):
            assert torch.allclose(call(model, later, a=A, b=B), plain, atol=1e-6)


def test_isolation_changes_what_joint_attention_gives():
    joint, isolated = randomised(ALIGNED), randomised(ALIGNED, RestrictAttention())
    assert not torch.allclose(call(joint, a=A), call(isolated, a=A), atol=1e-3)


def test_masks_may_name_streams():
    model = randomised(ALIGNED, BESIDE)
    assert streams(model) == {"label": 1, "a": 2, "b": 3}
    blind = RestrictAttention(mask=Streams(pairs=((0, 0), (0, 2), (2, 2), (3, 3))))  # nobody looks at b
    apply_edits(model, [blind])
    assert torch.allclose(call(model, a=A, b=B), call(model, a=A, b=A), atol=1e-6)


def test_copies_share_with_themselves_alone():
    model = randomised(ALIGNED)
    other = copy.deepcopy(model)
    before = call(model, a=A)
    with torch.no_grad():
        other.input.linear.weight.zero_()
    assert torch.equal(call(model, a=A), before)
    assert other.doors.embedders["a"].host[0] is other


def test_cost_is_that_of_more_tokens():
    model = config().build()
    plain = count_macs(model, (1, 8, 8))
    assert count_macs(apply_edits(model, [ALIGNED, BESIDE]), (1, 8, 8)) > 2.5 * plain


def test_a_saved_model_is_config_edits_and_weights():
    model = randomised(ALIGNED, BESIDE, RestrictAttention())
    again = build_edited(config(), model.edits)
    again.load_state_dict(model.state_dict())
    assert torch.equal(call(again, a=A, b=B), call(model, a=A, b=B))


def test_refusals():
    with pytest.raises(FrisketError, match="has no doors"):
        Reference().build(nn.Linear(2, 2))
    with pytest.raises(FrisketError, match=r"edit\.offset"):
        Reference(offset=(1.0,)).build(config().build())
    with pytest.raises(FrisketError, match="condition = 'label'"):
        Reference(name="label").build(config().build())
    joined = Transformer(width=16, heads=2, doors=(Door(name="map", way="channels", embedder=Image()),))
    with pytest.raises(FrisketError, match="by channels"):
        Reference().build(joined.build())
    with pytest.raises(FrisketError, match="no door reads c"):
        call(randomised(ALIGNED), c=A)
    with pytest.raises(FrisketError, match="learned positions"):
        call(randomised(BESIDE, positions=Learned()), b=B)
    with pytest.raises(FrisketError, match="no self-attention"):
        RestrictAttention().build(nn.Linear(2, 2))

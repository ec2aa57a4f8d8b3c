"""The masked encoder-decoder: what it leaves out, what a phase sees, and where gradients go."""

from dataclasses import replace

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import Condition, FrisketError
from frisket.core.nested import hide_tokens, pack
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.interop.mar import PHASED
from frisket.models.backbones.masked_tokens import MaskedTokens, TokenLevel
from frisket.models.count import count_macs
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.token_heads import EachToken, WholeGrid

ONE = MaskedTokens(
    width=16, heads=2, numbers=2, given=2, levels=(TokenLevel(axes=(3, 3), head=EachToken(width=8, depth=1)),), buffer=3,
    doors=(Door(name="label", embedder=ClassIds(classes=4)),),
)  # fmt: skip
TWO = replace(
    ONE, levels=(TokenLevel(axes=(2, 2), head=EachToken(width=8, depth=1)),
                 TokenLevel(axes=(3, 3), head=WholeGrid(width=8, depth=1, heads=2))),
    encoder=(PHASED, PHASED), decoder=(PHASED,), mask="place",
)  # fmt: skip


def stirred(config):
    model = config.build()
    with torch.no_grad():
        for i, p in enumerate(p for p in model.parameters() if p.requires_grad):
            p.copy_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return model.eval()


def given(n, hidden, b=2, seed=0):
    """A state of n tokens, hidden at `hidden`, noised everywhere."""
    g = torch.Generator().manual_seed(seed)
    x, noisy = torch.randn(b, 2, n, generator=g), torch.randn(b, 1, 2, n, generator=g)
    where = torch.zeros(b, n, dtype=torch.bool)
    where[:, hidden] = True
    return x, noisy, where, pack(hide_tokens(x, where), noisy, torch.full((b, 1, n), 500.0))


def label(b=2):
    return Condition.of(label=torch.arange(b))


def test_the_encoder_sees_buffer_and_visible_tokens_only():
    model, lengths = stirred(ONE), {}
    tap = lambda call, args, step: (lengths.__setitem__(len(lengths), args[0].h.shape[1]), call(*args))[1]  # noqa: E731
    with use_step(Step(seed=0, sample=torch.arange(2))), install(model, {"block[0]": tap, "block[2]": tap}):
        model(given(9, [0, 1, 2, 3, 4, 5])[3], None, label())
    assert list(lengths.values()) == [3 + 3, 3 + 9], "encoder, then decoder"


def test_what_is_hidden_is_read_by_nothing():
    model = stirred(TWO)
    x, noisy, where, packed = given(13, [0, 1, 4, 5, 6])
    other = x + where[:, None] * 3.0
    again = pack(hide_tokens(other, where), noisy, torch.full((2, 1, 13), 500.0))
    assert torch.equal(model(packed, None, label()).pred, model(again, None, label()).pred)


def test_the_coarse_level_does_not_depend_on_the_fine_one():
    model = stirred(TWO)
    _, _, _, a = given(13, [0, 1, 5, 6])
    x, noisy, where, _ = given(13, [0, 1, 5, 6])
    x[..., 4:] += 2.0
    where[:, 9:] = True
    b = pack(hide_tokens(x, where), noisy, torch.full((2, 1, 13), 500.0))
    one, two = model(a, None, label()).pred, model(b, None, label()).pred
    torch.testing.assert_close(one[..., :4], two[..., :4], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(one[..., 4:], two[..., 4:])


def test_the_fine_levels_loss_gives_the_coarse_phase_no_gradient_through_the_pivots():
    model = stirred(TWO)
    model(given(13, [0, 1, 5, 6])[3], None, label()).pred[..., 4:].square().sum().backward()
    assert model.pivot.weight.grad is not None
    assert bool(model.pivot.weight.grad.any())
    first = model.encoder.places.grad[: 3 + 13]
    assert not bool(first.any()), "the first phase's own positions"
    assert bool(model.encoder.places.grad[3 + 13 :].any())


def test_without_pivots_the_second_phase_does_not_depend_on_the_first():
    model = stirred(replace(TWO, pivots=0.0)).train()
    x, noisy, where, a = given(13, [0, 1, 5, 6])
    where[:, :4] = torch.tensor([False, True, True, True])
    x[..., :4] += 1.0
    b = pack(hide_tokens(x, where), noisy, torch.full((2, 1, 13), 500.0))
    with use_step(Step(seed=0, sample=torch.arange(2), index=5, total=10)):
        one, two = model(a, None, label()).pred, model(b, None, label()).pred
    torch.testing.assert_close(one[..., 4:], two[..., 4:], rtol=1e-5, atol=1e-6)
    with use_step(Step(seed=0, sample=torch.arange(2), index=5, total=10)):
        model.config = replace(TWO, pivots=1.0)
        assert not torch.allclose(model(a, None, label()).pred[..., 4:], one[..., 4:])


def test_rows_with_different_numbers_of_visible_tokens_are_as_by_themselves():
    model = stirred(ONE)
    x, noisy, where, _ = given(9, [0, 1])
    where[1, 4:] = True
    packed = pack(hide_tokens(x, where), noisy, torch.full((2, 1, 9), 500.0))
    both = model(packed, None, label()).pred
    alone = model(packed[1:], None, label().rows(slice(1, 2))).pred
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-5)


def test_heads_answer_only_what_is_asked():
    model = stirred(ONE)
    packed = given(9, [0, 1, 2])[3]
    packed[:, 2:4, 3:] = torch.nan
    out = model(packed, None, label()).pred
    assert bool(out[..., :3].any())
    assert not bool(out[..., 3:].any())


def test_dropping_the_condition_and_several_copies():
    model = stirred(ONE)
    packed = given(9, [0, 1, 2])[3]
    kept, dropped = model(packed, None, label()).pred, model(packed, None, label().without("label")).pred
    assert not torch.allclose(kept, dropped)
    twice = torch.cat([packed, packed[:, 2:]], 1)
    out = model(twice, None, label()).pred
    torch.testing.assert_close(out[:, :2], kept, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(out[:, 2:], kept, rtol=1e-5, atol=1e-6)


def test_it_fits_a_state_and_refuses_others():
    fitted = ONE.fit(Spec(kind="continuous", shape=(5, 9)), 10, {"label": 7})
    assert (fitted.numbers, fitted.given, fitted.doors[0].embedder.classes) == (5, 10, 7)
    with pytest.raises(FrisketError, match="state"):
        ONE.fit(Spec(kind="continuous", shape=(5, 8)), 10, {})
    for bad in ({"levels": ()}, {"mask": "all"}, {"buffer": 0}, {"pivots": 2.0}):
        with pytest.raises(FrisketError, match="model"):
            replace(ONE, **bad)
    with pytest.raises(FrisketError, match="no spans"):
        stirred(ONE)(given(9, [0])[3], None, label(), {"blocks[0:1]": torch.zeros(2, 1, dtype=torch.int64)})


def test_a_training_pass_can_be_counted():
    """The chance of reading pivots is drawn from a step; counting provides one."""
    assert count_macs(TWO.build().train(), tuple(given(13, [0, 1])[3].shape[1:])) > 0

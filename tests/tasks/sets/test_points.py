"""Points: read at cell centres they are the cells, and the uncertain ones are taken."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from frisket.core import FrisketError, Step
from frisket.models.backbones.queries.pixels import centres
from frisket.tasks.sets.costs import cross_entropy, dice
from frisket.tasks.sets.points import Uncertain, read

GENERATOR = torch.Generator().manual_seed(0)


def uniform(n, count):
    return Step(seed=1, sample=torch.arange(n)).draw("points", (count, 2), "uniform").float()


def test_at_all_centres_the_loss_is_the_dense_one():
    logits = 3 * torch.randn(4, 5, 6, generator=GENERATOR)
    truth = (torch.rand(4, 5, 6, generator=GENERATOR) > 0.5).float()
    where = centres((5, 6)).expand(4, -1, -1)
    at, there = read(logits, where), read(truth, where)
    torch.testing.assert_close(at, logits.flatten(1), rtol=1e-5, atol=1e-5)
    dense = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2))
    torch.testing.assert_close(cross_entropy(at, there), dense)
    torch.testing.assert_close(dice(at, there), dice(logits.flatten(1), truth.flatten(1)))


def test_maps_of_other_sizes_are_read_at_the_same_places():
    small = torch.rand(1, 4, 4, generator=GENERATOR)
    large = small.repeat_interleave(8, 1).repeat_interleave(8, 2)
    where = centres((4, 4))[None]
    torch.testing.assert_close(read(small, where), read(large, where))


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 40), oversample=st.floats(1, 4), share=st.floats(0, 1))
def test_as_many_points_come_out_as_asked(count, oversample, share):
    part = Uncertain(count=count, oversample=oversample, share=share)
    chosen = part.choose(torch.zeros(2, 3, 3), uniform(2, part.draws))
    assert chosen.shape == (2, count, 2)
    assert bool(((chosen > 0) & (chosen < 1)).all())


def test_the_most_uncertain_candidates_are_taken():
    ramp = torch.linspace(-4, 4, 32).expand(1, 32, 32)  # 0 in the middle column
    part = Uncertain(count=40, oversample=4.0, share=1.0)
    drawn = uniform(1, part.draws)
    chosen = part.choose(ramp, drawn)
    worst_taken = read(ramp, chosen).abs().max()
    left = {tuple(p) for p in drawn[0].tolist()} - {tuple(p) for p in chosen[0].tolist()}
    best_left = read(ramp, torch.tensor(sorted(left))[None]).abs().min()
    assert worst_taken <= best_left


def test_without_a_share_the_points_are_those_drawn():
    part = Uncertain(count=10, share=0.0)
    drawn = uniform(2, part.draws)
    assert torch.equal(part.choose(torch.randn(2, 4, 4, generator=GENERATOR), drawn), drawn[:, -10:])


def test_choosing_carries_no_gradient():
    logits = torch.randn(1, 4, 4, generator=GENERATOR, requires_grad=True)
    part = Uncertain(count=8)
    assert not part.choose(logits, uniform(1, part.draws)).requires_grad


@pytest.mark.parametrize(("field", "value"), [("count", 0), ("oversample", 0.5), ("share", 1.5)])
def test_bad_fields_are_named(field, value):
    with pytest.raises(FrisketError, match=f"points.{field}"):
        Uncertain(**{field: value})

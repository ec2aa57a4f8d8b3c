"""Kept pivots: from the last call in which a token was hidden, of the main branch, and no phase run when all is seen."""

import torch

from frisket.caching.pivots import Pivots
from frisket.core.step import Step


class Two:
    def sites(self):
        return ["trunk", "coarse"]


class One:
    def sites(self):
        return ["trunk"]


def test_a_tokens_vector_is_that_of_the_call_before_it_was_seen():
    kept = Pivots().mount(Two())
    handle = kept.handlers["coarse"]
    step = Step(seed=0, sample=torch.tensor([5, 6]))
    give = lambda value: lambda coarse, seen: (torch.full((len(seen), 3, 2), value), ~seen)  # noqa: E731
    none = torch.zeros(2, 3, dtype=torch.bool)
    some = torch.tensor([[True, False, False], [False, False, True]])
    handle(give(1.0), (None, none), step)
    vectors, read = handle(give(2.0), (None, some), step)
    assert torch.equal(vectors[..., 0], torch.where(some, 1.0, 2.0))
    assert bool(read.all())

    def never(*args):
        raise AssertionError("the coarse phase has nothing left to say")

    vectors, read = handle(never, (None, torch.ones_like(some)), step)
    assert torch.equal(vectors[..., 0], torch.where(some, 1.0, 2.0))
    assert bool(read.all())
    assert (kept.computed, kept.kept) == (2, 1)


def test_the_conditional_branchs_vectors_serve_both():
    kept = Pivots().mount(Two())
    handle, seen = kept.handlers["coarse"], torch.zeros(4, 3, dtype=torch.bool)
    both = Step(seed=0, sample=torch.tensor([5, 6, 5, 6]), branch="conditional+null")
    values = torch.arange(4.0)[:, None, None].expand(4, 3, 2)
    vectors, _ = handle(lambda coarse, seen: (values, ~seen), (None, seen), both)
    assert torch.equal(vectors, values), "hidden tokens are each branch's own"
    vectors, _ = handle(lambda *a: (values, seen), (None, ~seen), both)
    assert vectors[:, 0, 0].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_a_model_of_one_level_is_left_alone():
    assert not Pivots().mount(One()).handlers

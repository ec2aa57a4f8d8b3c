"""Masks as predicates: combination, order of the empty rule, round trip."""

from __future__ import annotations

import torch

from frisket.core import from_config, to_config
from frisket.models.masks.base import All, View
from frisket.models.masks.causal import Causal
from frisket.models.masks.tags import Segments
from frisket.models.tokens import Tags

TAGS = Tags(n=4, segment=torch.tensor([0, 0, 1, 1]))


def table(mask, tags=TAGS):
    at = torch.arange(tags.n)
    row = torch.zeros(1, 1, 1, dtype=torch.int64)
    return mask.allowed(View(tags, row, at[:, None]), View(tags, row, at[None])).expand(tags.n, tags.n)


def test_combinations_are_boolean_algebra():
    a, b = Causal(), Segments()
    assert torch.equal(table(a & b), table(a) & table(b))
    assert torch.equal(table(a | b), table(a) | table(b))
    assert torch.equal(table(~a), ~table(a))
    assert torch.equal(table(~(a & b)), table(~a | ~b))
    assert bool(table(All()).all())
    assert not bool(table(~All()).any())


def test_the_left_operand_says_what_an_empty_row_means():
    assert (Causal(empty="all") & Segments()).empty == "all"
    assert (Segments() | Causal(empty="all")).empty == "zeros"
    assert (~Causal(empty="all")).empty == "all"


def test_masks_round_trip_and_are_values():
    mask = (Causal() & ~Segments(empty="all")) | All()
    assert from_config(to_config(mask)) == mask
    assert hash(mask) == hash((Causal() & ~Segments(empty="all")) | All())


def test_defaults_stand_in_for_tags_that_are_not_set():
    assert bool(table(Segments(), Tags(n=3)).all())

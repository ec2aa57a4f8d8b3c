"""Where queries may look, from masks that can be told by hand."""

from __future__ import annotations

import torch

from frisket.models.attend import ALL, lower
from frisket.models.backbones.queries.focus import Displaced, Everywhere, Predicted, foreground
from frisket.models.tokens import Tags

# One image, three queries on a 2x4 map: the left half, nothing, everything.
LOGITS = torch.tensor([[[[1.0, 1, -1, -1], [1, 1, -1, -1]], [[-1.0] * 4] * 2, [[1.0] * 4] * 2]])


def lowered(mask):
    return lower(mask, Tags(n=3), Tags(n=8), 1, torch.device("cpu"))


def test_a_query_looks_where_its_mask_is_and_an_empty_one_everywhere():
    low = lowered(Predicted().mask(LOGITS, (2, 4)))
    assert low.empty is None
    assert low.allowed[0, 0].tolist() == [[True, True, False, False] * 2, [True] * 8, [True] * 8]


def test_a_probability_of_a_half_is_inside():
    assert bool(foreground(torch.zeros(1, 1, 2, 2), (2, 2)).all())
    assert not bool(foreground(torch.full((1, 1, 2, 2), -1e-3), (2, 2)).any())


def test_the_mask_is_brought_to_the_maps_size():
    assert foreground(LOGITS, (1, 2))[0].flatten(1).tolist() == [[True, False], [False, False], [True, True]]
    assert foreground(LOGITS, (4, 8)).shape == (1, 3, 4, 8)


def test_no_gradient_flows_through_the_choice():
    logits = LOGITS.clone().requires_grad_()
    assert not Predicted().mask(logits, (2, 4)).table.requires_grad


def test_everywhere_is_no_mask():
    assert Everywhere().mask(LOGITS, (2, 4)) is ALL


def test_displaced_keeps_the_area_and_leaves_the_place():
    own, moved = (f.mask(LOGITS, (2, 4)).table[0, 0] for f in (Predicted(), Displaced()))
    assert moved.sum() == own.sum()
    assert not bool((own & moved).any())

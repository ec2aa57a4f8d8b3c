from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.testing.claims import claim, example_state, refuses, same, untouched_generator


def test_a_claim_names_its_part():
    claim(True, 3, "is never said")
    with pytest.raises(AssertionError, match="int: is odd"):
        claim(False, 3, "is odd")


def test_same_is_exact_unless_told_otherwise():
    one = torch.ones(2)
    assert same(one, one.clone())
    assert not same(one, one + 1e-6)
    assert same(one, one + 1e-6, 1e-5)
    assert not same(one, one.double())
    assert not same(one, torch.ones(3), 1.0)


def test_a_refusal_must_be_one():
    def refuse():
        raise FrisketError("no")

    refuses("part", "accepts it", refuse)
    with pytest.raises(AssertionError, match="accepts it"):
        refuses("part", "accepts it", lambda: None)


def test_moving_the_global_generator_is_noticed():
    assert untouched_generator("part", lambda: 5) == 5
    with pytest.raises(AssertionError, match="global generator"):
        untouched_generator("part", lambda: torch.rand(()))


def test_example_states_fill_their_vocabulary():
    ids = example_state((200,), 5)
    assert ids.unique().tolist() == [0, 1, 2, 3, 4]
    assert example_state((3, 2)).dtype == torch.float32

from __future__ import annotations

import pytest
from broken import Toy

from frisket.codecs.base import Spec
from frisket.testing import check_backbone

SPEC = Spec(kind="continuous", shape=(2, 4, 4))
COMPLAINTS = {
    "seed": "two builds start from different weights",
    "shape": "pred is",
    "batch": "depends on its batch",
    "random": "the global generator",
    "drop": "dropping 'label' changes nothing",
    "idle": "parameter idle.weight gets no gradient",
    "ghost": "the site ghost, but no call reaches it",
    "deaf": "a condition that no embedder reads",
}


def test_a_sound_backbone_passes_with_its_count():
    check_backbone(Toy(), spec=SPEC, parameters=2 * 2 * 9 + 2 + 11 * 2)


@pytest.mark.parametrize("fault", COMPLAINTS)
def test_a_broken_promise_is_named(fault):
    with pytest.raises(AssertionError, match=f"backbone/toy-of-tests: .*{COMPLAINTS[fault]}"):
        check_backbone(Toy(fault=fault), spec=SPEC)


def test_another_count_of_parameters_is_named():
    with pytest.raises(AssertionError, match="60 parameters, wanted 61"):
        check_backbone(Toy(), spec=SPEC, parameters=61)


def test_parameters_that_a_call_does_not_reach_may_be_excused():
    check_backbone(Toy(fault="idle"), spec=SPEC, unused=("idle",))

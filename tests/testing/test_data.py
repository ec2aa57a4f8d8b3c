from __future__ import annotations

import pytest
from broken import Numbers

from frisket.testing import check_data

COMPLAINTS = {
    "split": "neither 'train' nor 'test'",
    "digest": "content digest",
    "range": r"float32 in \[0, 1\]",
    "id": "not the ids asked for",
    "order": "order of its batch",
    "leak": "64 of 64 items are in both splits",
}


def test_a_sound_set_passes():
    check_data(Numbers())


@pytest.mark.parametrize("fault", COMPLAINTS)
def test_a_broken_promise_is_named(fault):
    with pytest.raises(AssertionError, match=f"Numbers: .*{COMPLAINTS[fault]}"):
        check_data(Numbers(fault=fault))


def test_sets_whose_items_recur_may_say_so():
    check_data(Numbers(fault="leak"), splits=0)

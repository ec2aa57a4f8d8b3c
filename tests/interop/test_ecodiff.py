"""Gates, penalties, choices and surgery equal the official functions."""

from __future__ import annotations

import pytest

from frisket.core import FrisketError
from frisket.interop.ecodiff import arrays_of, choices, function_difference, gates, penalties, surgery


@pytest.mark.parametrize("part", [gates, penalties, choices, surgery], ids=lambda f: f.__name__)
def test_each_part_is_the_official_one(part):
    found = part(arrays_of())
    assert len(found) >= 3
    assert max(found) < 1e-5


def test_the_whole_is_the_largest_of_all():
    assert function_difference() == max(max(part(arrays_of())) for part in (gates, penalties, choices, surgery))


def test_missing_arrays_are_named(tmp_path):
    with pytest.raises(FrisketError, match="ecodiff"):
        arrays_of(tmp_path)

"""The conformance check over every shipped recipe."""

from __future__ import annotations

import pytest

from frisket.experiments.recipes import load_recipe, recipe_names
from frisket.testing import check_recipe


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_keeps_its_promises(name):
    check_recipe(load_recipe(name))

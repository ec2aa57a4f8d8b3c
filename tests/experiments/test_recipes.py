"""Finding recipes by name and by path."""

from __future__ import annotations

import pytest

from frisket.core import FrisketError
from frisket.experiments.recipes import load_recipe, recipe_names

FILE = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Part:
    n: int = 0

PAPER = "paper"

def experiment(size):
    return (size, Part())
"""


def test_shipped_recipes_are_found_by_name():
    assert {"dit", "pit", "mdlm"} <= set(recipe_names())
    assert recipe_names() == sorted(recipe_names())
    assert load_recipe("dit").name == "dit"


def test_a_file_is_a_recipe(tmp_path):
    (tmp_path / "my_own.py").write_text(FILE)
    recipe = load_recipe(str(tmp_path / "my_own.py"))
    assert (recipe.name, recipe.module.PAPER) == ("my-own", "paper")
    assert (recipe.counts, recipe.parity) == ((), None)
    assert recipe.module.experiment("tiny")[0] == "tiny"
    with pytest.raises(FrisketError, match="size = 'huge'"):
        recipe.experiment("huge")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PAPER = 1\n", "defines no experiment"),
        ("def experiment(size): ...\n", "defines no PAPER"),
        ("PAPER = 1\nx = )\n", "line 2: unmatched"),
    ],
)
def test_a_file_that_is_no_recipe_says_what_it_lacks(text, said, tmp_path):
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(FrisketError, match=said):
        load_recipe(str(tmp_path / "a.py"))


def test_the_nearest_name_is_told():
    with pytest.raises(FrisketError, match=r"unknown recipe 'mdml'; did you mean 'mdlm'\? \(accepted: PATH.py"):
        load_recipe("mdml")
    with pytest.raises(FrisketError, match="does not exist"):
        load_recipe("none.py")

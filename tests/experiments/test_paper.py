"""Citations: every one that a part states can be printed."""

from __future__ import annotations

import pytest

from frisket.core.registry import lookup, names
from frisket.experiments.paper import CITATION, bibliography, bibtex, parts_in
from frisket.experiments.recipes import load_recipe, recipe_names


def test_every_citation_of_a_part_parses():
    cited = {name: lookup(name).part_cite for name in names() if lookup(name).part_cite}
    assert len(cited) > 30
    odd = {name: cite for name, cite in cited.items() if not CITATION.match(cite)}
    assert not odd
    assert all(bibtex(cite).startswith("@misc{") for cite in cited.values())


@pytest.mark.parametrize(
    ("authors", "listed", "key"),
    [
        ("William Peebles and Saining Xie", "William Peebles and Saining Xie", "peebles"),
        ("Ho, Jain, Abbeel", "Ho and Jain and Abbeel", "ho"),
        ("A. Bo, C. Di and E. Fu", "A. Bo and C. Di and E. Fu", "bo"),
        ("Ma et al", "Ma and others", "ma"),
        ("van Dam et al", "van Dam and others", "dam"),
    ],
)
def test_authors_are_joined_as_bibtex_wants(authors, listed, key):
    entry = bibtex(f"{authors}. Some Title: With a Colon. 2024. arXiv:2401.00001")
    assert f"author={{{listed}}}" in entry
    assert entry.startswith(f"@misc{{{key}2024some,")
    assert "title={Some Title: With a Colon}" in entry
    assert "eprint={2401.00001}" in entry


def test_a_citation_without_an_arxiv_number_has_none():
    assert "eprint" not in bibtex("Ho, Jain. A Title. 2020.")


@pytest.mark.parametrize("cite", ["", "A title", "Somebody. A title. arXiv:2401.00001"])
def test_another_form_is_an_error(cite):
    with pytest.raises(ValueError, match="is not of the form"):
        bibtex(cite)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_cited(name):
    assert load_recipe(name).paper.arxiv in bibtex(load_recipe(name).paper.cite)


def test_parts_are_found_at_any_depth_and_papers_listed_once():
    config = {"part": "path/flow", "inner": [{"part": "prediction/flow"}, {"x": {"part": "path/flow"}}], "n": 3}
    assert parts_in(config) == {"path/flow", "prediction/flow"}
    own = "A Person. The Whole. 2022. arXiv:2209.03003"
    assert len(bibliography([], config)) == 1  # both of one paper
    assert bibliography([own], config) == [bibtex(own)]

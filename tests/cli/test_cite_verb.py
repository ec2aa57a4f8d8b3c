"""`frisket cite`."""

from __future__ import annotations

import pytest

from frisket.cli.cite_verb import citations
from frisket.experiments.recipes import load_recipe, recipe_names
from run_folders import frisket, refused


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_cited_first_and_no_paper_twice(name):
    entries = citations(name)
    assert load_recipe(name).paper.arxiv in entries[0]
    ids = [line for entry in entries for line in entry.splitlines() if "eprint" in line]
    assert len(set(ids)) == len(ids)


def test_a_run_is_cited_with_its_parts(dit_run, capsys):
    assert frisket("cite", dit_run) == 0
    said = capsys.readouterr().out
    assert said.startswith("@misc{peebles2022")
    assert "arXiv" in said
    assert "2209.03003" in said  # rectified flow, by its path
    assert frisket("cite", dit_run / "model") == 0
    assert "2209.03003" in capsys.readouterr().out


def test_a_recipe_file_is_cited(tmp_path):
    assert frisket("new", "mine", "--folder", tmp_path) == 0
    assert "eprint={0000.00000}" in citations(str(tmp_path / "mine.py"))[0]


def test_what_is_neither_is_one_line(capsys, tmp_path):
    assert "neither a folder nor a recipe" in refused(capsys, "cite", "nothing")
    assert "config.json does not exist" in refused(capsys, "cite", tmp_path)

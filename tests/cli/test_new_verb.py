"""`frisket new`."""

from __future__ import annotations

import ast

import pytest

from frisket.cli.new_verb import draft, without_unused
from frisket.experiments.recipes import load_recipe, recipe_names
from run_folders import DIT, frisket, refused


@pytest.mark.parametrize("like", recipe_names())
def test_a_draft_stands_by_itself(like, tmp_path):
    path = tmp_path / f"mine_{like}.py"
    path.write_text(draft("mine", like))
    recipe = load_recipe(str(path))
    assert recipe.paper.arxiv == "0000.00000"
    assert recipe.counts == ()
    assert recipe.parity is None
    ours, theirs = recipe.experiment("tiny"), load_recipe(like).experiment("tiny")
    assert ours.name == "mine"
    assert (ours.model, ours.process) == (theirs.model, theirs.process)
    assert (ours.study is None) == (theirs.study is None)
    if ours.study is not None:  # its arms may hold phases, which bear the new name
        studies = (ours.study, theirs.study)
        assert len({(*s.arms, *s.measures, *s.expect, s.budget, s.note) for s in studies}) == 1


def test_a_new_recipe_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert frisket("new", "my-own", "--like", "dit") == 0
    assert frisket("run", "./my_own.py", *DIT, "--training.steps", 1) == 0
    assert (tmp_path / "runs" / "my-own-digits-tiny" / "report.html").is_file()


def test_a_file_that_is_there_is_never_overwritten(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("precious")
    assert "exists already" in refused(capsys, "new", "mine", "--folder", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "precious"


@pytest.mark.parametrize("name", ["dit", "../up", "Two words", "1st"])
def test_a_name_that_cannot_be_one_is_refused(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refused(capsys, "new", name)
    assert "did you mean 'mdlm'" in refused(capsys, "new", "fine", "--like", "mdml")
    assert list(tmp_path.iterdir()) == []


def test_imports_that_nothing_uses_are_left_out():
    source = (
        "from __future__ import annotations\nfrom a import (\n    b,\n    c as d,\n    e as f,\n)\n"
        "from g import h\n\nx: b = f\n"
    )
    kept = without_unused(source)
    assert kept == "from __future__ import annotations\nfrom a import b, e as f\n\nx: b = f\n"
    ast.parse(kept)

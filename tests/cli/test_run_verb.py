"""`frisket run`: options, overrides, and where a run goes. What a run leaves behind is tested with `experiments.run`."""

from __future__ import annotations

import json

import pytest

from frisket.cli.run_verb import Run, chosen, place
from frisket.data.imagefolder import ImageFolder
from frisket.experiments.recipes import load_recipe
from run_folders import DIT, frisket, refused


def test_help_that_names_a_recipe_lists_its_fields(capsys):
    assert frisket("run", "dit", "--help") == 0
    said = capsys.readouterr().out
    assert said.index("--max-time") < said.index("fields of dit") < said.index("\n  --model.depth ")
    assert "--process.path" in said


def test_data_come_before_their_overrides():
    options = Run(recipe="dit", size="tiny", data="imagefolder:photos", seed=4)
    experiment = chosen(options, {"data.size": "16", "training.steps": "7"}, load_recipe("dit"))
    assert experiment.data == ImageFolder(target="photos", size=16)
    assert (experiment.training.seed, experiment.training.steps) == (4, 7)


def test_a_run_has_a_place_of_its_own():
    experiment = load_recipe("dit").experiment("small")
    assert str(place(Run(recipe="dit"), experiment)) == "runs/dit-digits"
    assert str(place(Run(recipe="dit", size="tiny"), experiment)) == "runs/dit-digits-tiny"
    assert str(place(Run(recipe="dit", out="there"), experiment)) == "there"


@pytest.mark.parametrize("verb", ["run", "train"])
def test_a_dry_run_writes_nothing(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert frisket(verb, "dit", *DIT, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "training    3 steps of 8 samples" in said
    assert "on the first batch" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dti"], "unknown recipe 'dti'; did you mean 'dit'"),
        (["none.py"], "recipe file none.py does not exist"),
        (["dit", "--size", "huge"], "size = 'huge'"),
        (["dit", "--data", "digts"], "did you mean 'digits'"),
        (["dit", "--data", "imagefolder:none"], "'none' does not exist"),
        (["dit", "--data", "imagefolder"], "needs a target"),
        (["dit", "--model.dpth", 3], "did you mean 'depth'"),
        (["dit", "--model.heads", 5], "5"),
        (["dit", "--model.input.patch", 3], "3"),
        (["dit", "--process.path", "cosin"], "did you mean 'cosine'"),
        (["dit", "--training.batch", "many"], "'many' is not accepted"),
        (["dit", "--training.steps"], "needs a value"),
        (["dit", "--resume", "elsewhere"], "resume = 'elsewhere'"),
        (["mdlm", "--data", "digits"], "digits"),
        ([], "RECIPE"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    more = [] if "--size" in words or not words else ["--size", "tiny"]
    line = refused(capsys, "run", *words, *more)
    assert said in line or words[:1] == ["mdlm"]
    assert not list(tmp_path.rglob("config.json"))


def test_the_report_says_the_command_and_cites_the_parts(dit_run):
    report = json.loads((dit_run / "report.json").read_text())
    assert report["command"].startswith("frisket run dit --size tiny")
    assert any("2212.09748" in entry for entry in report["citations"])
    assert any("2209.03003" in entry for entry in report["citations"])  # the straight path

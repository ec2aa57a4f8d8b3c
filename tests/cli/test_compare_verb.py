"""`frisket compare`: a table, a report, JSON, and arms that are trained once."""

from __future__ import annotations

import json

import pytest

from frisket.cli.compare_verb import arm
from frisket.core import FrisketError
from run_folders import frisket, refused

SMALL = "model.width=16,training.batch=4,n_samples=8"
TWO = [f"dit,{SMALL}", f"dit,{SMALL},model.depth=1"]


def test_an_arm_is_a_recipe_and_its_changes():
    changed = arm("dit,model.depth=3,process.path=cosine", "tiny")
    assert len(changed.model.blocks) == 3
    assert changed.process.path.part_name == "path/cosine"
    for text in ("dit,depth", "dit,=3", "dit,model.depth="):
        with pytest.raises(FrisketError, match="field=value"):
            arm(text, "tiny")


def test_two_arms_are_compared_and_kept(tmp_path, capsys, arms_here):
    words = ["compare", *TWO, "--size", "tiny", "--steps", 2, "--procs", 1, "--out", tmp_path]
    assert frisket(*words) == 0
    said = capsys.readouterr().out
    assert "paired t intervals" in said
    first = json.loads((tmp_path / "report.json").read_text())
    rows = first["results"]["comparison"]["rows"]
    assert [len(row["each"]) for row in rows] == [3, 3]
    assert rows[1]["difference"]["low"] < rows[1]["difference"]["high"]
    cost = next(s for s in first["sections"] if s["title"] == "Cost")["table"]["rows"]
    assert cost[0][3:5] == ["2", "8"]  # steps, samples
    assert "http://" not in (tmp_path / "report.html").read_text().replace("http://www.w3.org", "")
    results = sorted((tmp_path / "arms").glob("*/result.json"))
    assert len(results) == 6
    times = [path.stat().st_mtime_ns for path in results]
    assert frisket(*words) == 0
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "arms").glob("*/result.json"))] == times
    assert json.loads((tmp_path / "report.json").read_text())["results"] == first["results"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dit"], "two or more different arms"),
        (["dit", "dit"], "two or more different arms"),
        (["dit", "pit", "--seeds", 2], "at least 3"),
        (["dit", "mdlm"], "give both --data"),
        (["dit", "pit", "--measure", "los"], "did you mean 'loss'"),
        (["dit", "pit", "--measure", "bits"], "needs a process with a bound"),
        (["mdlm", "mdlm,model.depth=1", "--measure", "frechet"], "is of images"),
        (["dit", "dit,process.path=cosine"], "another process, so its loss is another quantity"),
        (["dit", "dit,codec.fitted=true"], "another codec"),
        (["dit", "dti"], "did you mean 'dit'"),
        (["dit", "dit,model.dpth=3"], "did you mean 'depth'"),
        (["dit", "pit", "--budget", "seconds"], "seconds"),
        (["dit", "pit", "--procs", 0], "--procs = 0"),
        (["dit", "pit", "--steps", 0], "--steps = 0"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_training(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, "compare", *words, "--size", "tiny")
    assert list(tmp_path.iterdir()) == []

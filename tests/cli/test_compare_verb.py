"""`frisket compare`: a table, a report, JSON, and arms that are trained once."""

from __future__ import annotations

import json

import pytest

from frisket.cli.compare_verb import Compare, arm, crossed, crossings
from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.data.scenes.source import Scenes
from frisket.models.plans.routing import Routing
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


def test_a_plus_puts_the_method_of_another_recipe_on_top():
    made = arm("dit,model.depth=4+tread+repa,task.objectives.0.weight=1e+0", "tiny", Digits())
    assert made.model.plan == Routing(low=1, high=-1)
    assert made.task.objectives[0].weight == 1.0
    assert made.needs["encoder"].data == Digits()
    scenes = arm("dit+repa", "tiny", Scenes())
    assert scenes.data == scenes.needs["encoder"].data == Scenes()


def test_crossing_makes_every_arm_once_and_every_pair():
    names, kinds = crossed(Compare(arms=["dit"], cross=["tread,sprint", "repa,sra"]))
    assert names == [
        "dit", "dit+tread", "dit+sprint", "dit+repa", "dit+sra", "dit+tread+repa", "dit+tread+sra", "dit+sprint+repa",
        "dit+sprint+sra",
    ]  # fmt: skip
    found = {name: {"loss": [1.0 + i, 2.0, 3.0]} for i, name in enumerate(names)}
    (one,) = crossings("dit", found, kinds, ["loss"])
    assert [(p.first, p.second) for p in one.pairs] == [
        ("tread", "repa"), ("tread", "sra"), ("sprint", "repa"), ("sprint", "sra"),
    ]  # fmt: skip
    assert one.alone["sra"].each == (4.0, 0.0, 0.0)
    for name in names:  # each can be built and fitted
        assert arm(name, "small").fit().name == "dit"


def test_methods_of_two_kinds_are_crossed(tmp_path, capsys, arms_here):
    words = ["compare", f"dit,{SMALL},model.depth=3", "--cross", "tread", "repa", "--size", "tiny", "--steps", 2,
             "--procs", 1, "--out", tmp_path]  # fmt: skip
    assert frisket(*words) == 0
    said = capsys.readouterr().out
    assert "methods alone and together" in said
    results = json.loads((tmp_path / "report.json").read_text())["results"]
    (found,) = results["crossing"]
    assert (found["measure"], found["better"]) == ("loss", "less")
    assert list(found["alone"]) == ["tread", "repa"]
    means = {row["arm"]: row["each"] for row in results["comparison"]["rows"]}
    assert len(means) == 4
    base = f"dit,{SMALL},model.depth=3"
    pair = found["pairs"][0]
    for i in range(3):
        alone = means[f"{base}+tread"][i] + means[f"{base}+repa"][i] - means[base][i]
        assert pair["beyond"]["each"][i] == pytest.approx(means[f"{base}+tread+repa"][i] - alone)
    titles = [s["title"] for s in json.loads((tmp_path / "report.json").read_text())["sections"]]
    assert "Alone and together" in titles


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dit"], "two or more different arms"),
        (["dit", "pit", "--cross", "tread", "repa"], "one, the system that --cross puts methods on"),
        (["dit", "--cross", "tread"], "two lists of different recipes"),
        (["dit", "--cross", "tread", "tread"], "two lists of different recipes"),
        (["dit", "--cross", "tread", "pit"], "recipe pit defines no added"),
        (["dit", "--cross", "tread", "repa", "--measure", "panoptic"], "unknown measure"),
        (["dit", "dit+tread+sprint"], "plans do not nest"),
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

"""`frisket verify` of one's own recipe: evidence in results/, from which the marks are read."""

from __future__ import annotations

import json

from frisket.experiments.evidence import marks
from frisket.experiments.recipes import load_recipe
from run_folders import frisket, refused

MINE = '''"""A recipe of one's own, with a part of its own."""

from dataclasses import dataclass, replace

from frisket.core.registry import register
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.recipes import dit
from frisket.sampling.sampler import Sampler

PAPER = Paper(card=0, arxiv="0000.00000", year=2026, title="Mine", authors="A Person", does="a test", claim="none")
COUNTS = (Count(name="two", published=2, compute=lambda: 2.0), Count(name="three", published=3, compute=lambda: 4.0))
PARITY = Parity(kind="functions", difference=lambda: 0.0)


@register("density/mine-late")
@dataclass(frozen=True, kw_only=True)
class Late:
    by: float = 0.5

    def quantile(self, u, path=None):
        return self.by + (1 - self.by) * u


def experiment(size):
    base = dit.experiment(size)
    return replace(
        base, name="mine", process=replace(base.process, density=Late()), sampler=Sampler(steps=1),
        model=replace(base.model, width=16), n_samples=8, training=replace(base.training, batch=4, steps=2),
        study=Study(
            arms={"one": {}, "two": {"model.depth": 1}}, measures=("loss",), expect=(less("loss", "one", "two"),),
        ),
    )
'''


def test_a_recipe_file_is_verified_with_its_own_parts(tmp_path, monkeypatch, capsys, arms_here):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    assert frisket("verify", "./mine.py", "--size", "tiny") == 0
    said = capsys.readouterr().out
    assert "count three: published 3, ours 4  DIFFERS" in said
    assert "loss: one minus two" in said
    record = json.loads((tmp_path / "results" / "mine.json").read_text())
    assert record["works"] == {"ok": True, "size": "tiny"}
    assert [c["ok"] for c in record["counts"]] == [True, False]
    assert record["parity"]["ok"] is True
    assert record["effect"]["verdict"] in ("shown", "not shown at this scale", "opposite")
    assert [len(a["measures"]["loss"]) for a in record["effect"]["arms"].values()] == [3, 3]
    shown = marks(load_recipe("./mine.py"), record)
    assert shown["counts"] == "no"
    assert shown["parity"] == "functions"
    assert shown["effect"].endswith("(proxy, tiny)")
    assert shown["works"] == "no"  # tiny is not what the mark means


def test_a_recipe_without_a_claim_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE.replace("        study=Study(", "        study=None and Study("))
    assert "has no study" in refused(capsys, "verify", "mine.py", "--size", "tiny")
    assert "did you mean 'dit'" in refused(capsys, "verify", "dti")
    (tmp_path / "broken.py").write_text("x = (\n")
    assert "recipe file broken.py, line 1: '(' was never closed" in refused(capsys, "verify", "broken.py")
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "runs").exists()

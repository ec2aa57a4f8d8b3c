"""Arms: equal budgets, processes of their own, results stored by content."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.config import override
from frisket.data.digits import DigitsSource
from frisket.experiments import arms as module
from frisket.experiments.arms import arms_of, equal_flops, run_arms, step_flops, work_on
from frisket.experiments.experiment import Study, forward_macs
from frisket.experiments.recipes import load_recipe

OWN_PART = """
from dataclasses import dataclass
from frisket.core.registry import register

@register("density/arms-late")
@dataclass(frozen=True, kw_only=True)
class Late:
    by: float = 0.5

    def quantile(self, u, path=None):
        return self.by + (1 - self.by) * u

PAPER = None
def experiment(size): ...
"""


def small(**changes):
    experiment = load_recipe("dit").experiment("tiny")
    for name, value in {"model.width": 16, "training.batch": 4, "training.steps": 1, "n_samples": 4, **changes}.items():
        experiment = override(experiment, name.replace("__", "."), value)
    return replace(experiment, study=None).fit()


def test_arms_are_the_bench_with_their_own_changes():
    study = Study(bench={"training.steps": 5, "model.width": 16}, arms={"a": {}, "b": {"model.width": 24}},
                  measures=("loss",), expect=())  # fmt: skip
    arms = arms_of(load_recipe("dit").experiment("tiny"), study)
    assert [arm.training.steps for arm in arms.values()] == [5, 5]
    assert (arms["a"].model.width, arms["b"].model.width) == (16, 24)
    assert all(arm.study is None and arm.model.doors[0].embedder.classes == 10 for arm in arms.values())


def test_equal_flops_give_the_cheaper_arm_more_steps():
    arms = {"a": small(training__steps=40), "b": small(model__depth=4, training__steps=40)}
    assert step_flops(arms["a"]) == 6 * forward_macs(arms["a"]) * 4
    after = equal_flops(arms)
    assert after["b"].training.steps == 40
    assert after["a"].training.steps > 40
    spent = {name: step_flops(arm) * arm.training.steps for name, arm in after.items()}
    assert abs(spent["a"] / spent["b"] - 1) < 0.5 / 40


def test_a_part_of_ones_own_reaches_the_process(tmp_path):
    (tmp_path / "own_part.py").write_text(OWN_PART)
    load_recipe(str(tmp_path / "own_part.py"))
    arm = override(small(), "process.density", "arms-late")
    told = []
    (result,) = run_arms({"own": arm}, ["loss"], seeds=1, folder=tmp_path / "arms", procs=1, say=told.append)
    assert result.measures["loss"] > 0
    assert (result.cost["steps"], result.cost["samples"]) == (1, 4)
    assert told[0].startswith("own seed 0: loss ")


def test_results_are_stored_by_content_and_not_by_name(tmp_path, arms_here):
    arms = {"a": small(), "same": replace(small(), name="other"), "b": small(training__batch=2)}
    results = run_arms(arms, ["loss"], seeds=2, folder=tmp_path, procs=1, say=lambda text: None)
    assert [(r.arm, r.seed) for r in results] == [(n, s) for s in (0, 1) for n in ("a", "same", "b")]
    assert results[0].measures == results[1].measures
    assert results[0].measures != results[3].measures  # another seed
    assert results[0].measures != results[2].measures
    assert len(list(tmp_path.glob("*/result.json"))) == 4


def test_other_data_under_the_same_config_are_another_arm(tmp_path, monkeypatch, arms_here):
    def train():
        return run_arms({"a": small()}, ["loss"], seeds=1, folder=tmp_path, procs=1, say=lambda text: None)

    train()
    opened = DigitsSource.__init__

    def changed(self, split):
        opened(self, split)
        self.info = replace(self.info, digest="other")

    monkeypatch.setattr(DigitsSource, "__init__", changed)
    train()
    assert len(list(tmp_path.glob("*/result.json"))) == 2


def test_a_process_that_fails_is_named_with_its_log(tmp_path, monkeypatch):
    begun = []

    def fail(place, own):
        begun.append(place)
        return 7

    monkeypatch.setattr(module, "in_process_of_its_own", fail)
    with pytest.raises(FrisketError, match=r"arm 'a' with seed 0 failed \(exit code 7\); see .*log.txt"):
        run_arms({"a": small()}, ["loss"], seeds=9, folder=tmp_path, procs=1, say=lambda text: None)
    assert len(begun) < 9


def test_the_same_job_gives_the_same_numbers(tmp_path, arms_here):
    job = {"arms": {"a": small()}, "measures": ["loss"], "seeds": 1, "procs": 1, "say": lambda text: None}
    first = run_arms(folder=tmp_path / "1", **job)
    torch.rand(3)
    assert run_arms(folder=tmp_path / "2", **job)[0].measures == first[0].measures
    (place,) = (tmp_path / "1").iterdir()
    (place / "result.json").unlink()
    work_on(place)
    assert json.loads((place / "result.json").read_text())["measures"] == first[0].measures

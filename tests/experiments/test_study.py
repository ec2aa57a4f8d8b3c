"""Studies: what is refused before any work, and what a verdict needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frisket.core import FrisketError
from frisket.evaluation.compare import compare, less
from frisket.experiments.arms import ArmResult
from frisket.experiments.experiment import Study
from frisket.experiments.recipes import load_recipe
from frisket.experiments.study import Outcome, check_study, costs_table, effect_record, run_study, table

STUDY = Study(arms={"a": {}, "b": {"model.depth": 1}}, measures=("loss",), expect=(less("loss", "a", "b"),))
COST = {"steps": 2, "samples": 8, "train_flops": 1e6, "parameters": 100, "macs": 10, "train_seconds": 1.0}


def results(a, b):
    return tuple(
        ArmResult(arm=name, seed=seed, measures={"loss": value}, cost=COST)
        for name, values in (("a", a), ("b", b))
        for seed, value in reversed(list(enumerate(values)))
    )


def outcome(a, b, *expect):
    found = results(a, b)
    return Outcome(results=found, comparison=compare(table(found, ["a", "b"], ["loss"]), "a", expected=expect))


def test_the_table_is_in_the_order_of_seeds():
    assert table(results([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]), ["a", "b"], ["loss"]) == {
        "a": {"loss": [1.0, 2.0, 3.0]}, "b": {"loss": [4.0, 5.0, 6.0]},
    }  # fmt: skip


def test_shown_needs_every_expectation_and_one_opposite_is_enough():
    apart = ([1.0, 1.01, 0.99], [2.0, 2.01, 2.02])
    assert outcome(*apart, less("loss", "a", "b")).verdict == "shown"
    assert outcome(*apart, less("loss", "b", "a")).verdict == "opposite"
    assert outcome(*apart, less("loss", "a", "b"), less("loss", "b", "a")).verdict == "opposite"
    assert outcome([1.0, 2.0, 3.0], [2.0, 1.0, 3.1], less("loss", "a", "b")).verdict == "not shown at this scale"
    assert outcome(*apart).verdict == "not shown at this scale"  # nothing expected, nothing shown


def test_the_record_holds_costs_without_seconds():
    record = effect_record(STUDY, outcome([1.0, 1.01, 0.99], [2.0, 2.01, 2.02], *STUDY.expect))
    assert record["verdict"] == "shown"
    assert record["arms"]["b"]["changes"] == {"model.depth": "1"}
    assert record["arms"]["a"]["measures"]["loss"] == [1.0, 1.01, 0.99]
    assert "train_seconds" not in record["arms"]["a"]["cost"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seeds": 2}, "study.seeds = 2"),
        ({"measures": ("los",)}, "did you mean 'loss'"),
        ({"expect": (less("loss", "a", "c"),)}, "unknown arm 'c'"),
        ({"expect": (less("bits", "a", "b"),)}, "unknown measure 'bits'"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(change, said):
    with pytest.raises(FrisketError, match=said):
        check_study(replace(STUDY, **change))


def test_a_measure_that_the_system_lacks_is_refused_before_any_training(tmp_path):
    study = replace(STUDY, measures=("bits",), expect=())
    with pytest.raises(FrisketError, match="needs a process with a bound"):
        run_study(load_recipe("dit").experiment("tiny"), study, folder=tmp_path, procs=1)
    assert list(tmp_path.iterdir()) == []


def test_costs_have_a_row_an_arm():
    section = costs_table(results([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
    assert [row[0] for row in section.table.rows] == ["a", "b"]
    assert section.table.rows[0][3:] == ("2", "8", "1e+06")

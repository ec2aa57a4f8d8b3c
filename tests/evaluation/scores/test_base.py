"""Scores are found by the measures they give."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.evaluation.scores.base import score_measures, score_of, scores_for
from frisket.experiments.measures import check_measures, take
from frisket.experiments.system import build
from frisket.recipes import dit


@register("score/test-two")
@dataclass(frozen=True, kw_only=True)
class Two:
    gives: ClassVar[tuple[str, ...]] = ("test_n", "test_seed")

    def take(self, pipeline, data, n, seed):
        return {"test_n": float(n), "test_seed": float(seed)}


def test_a_measure_leads_to_the_score_that_gives_it():
    assert score_of("test_seed") is Two
    assert score_of("loss") is None
    assert {"test_n", "test_seed"} <= set(score_measures())


@register("score/test-another")
@dataclass(frozen=True, kw_only=True)
class Another:
    gives: ClassVar[tuple[str, ...]] = ("test_n", "test_other")

    def take(self, pipeline, data, n, seed):
        return {"test_n": -1.0, "test_other": 0.0}


def test_what_several_scores_give_comes_from_the_one_that_is_needed():
    assert scores_for(["test_n", "test_seed", "loss"]) == {"test_n": Two, "test_seed": Two}
    assert scores_for(["test_n", "test_other"]) == {"test_n": Another, "test_other": Another}
    assert scores_for(["test_n"]) == {"test_n": Another}  # the first by name


def test_measures_of_scores_are_taken_in_the_order_asked_for():
    experiment = dit.experiment("tiny").fit()
    _, pipeline, _ = build(experiment)
    found = take(pipeline, experiment.data, ["test_seed", "test_n"], n=5, seed=2)
    assert list(found.items()) == [("test_seed", 2.0), ("test_n", 5.0)]  # test_n is not the other score's


def test_an_unknown_measure_names_the_nearest():
    with pytest.raises(FrisketError, match="test_seed"):
        check_measures(["test_sed"])

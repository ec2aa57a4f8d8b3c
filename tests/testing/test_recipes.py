"""Recipes that break a promise are found out. `tests/recipes` runs the check over those that keep them."""

from __future__ import annotations

import types
from dataclasses import replace

import pytest

from frisket.experiments import recipes as known
from frisket.experiments.experiment import Experiment
from frisket.experiments.paper import Paper
from frisket.experiments.recipes import Recipe
from frisket.recipes import dit
from frisket.testing import check_recipe
from frisket.testing import recipes as checks


def recipe(**changes):
    module = types.SimpleNamespace(PAPER=dit.PAPER, experiment=dit.experiment)
    for name, value in changes.items():
        setattr(module, name, value)
    return Recipe(name="toy", module=module)  # type: ignore[arg-type]


def at(size, change):
    """`dit` with a change at one size."""
    return lambda wanted: change(dit.experiment(wanted)) if wanted == size else dit.experiment(wanted)


@pytest.fixture(autouse=True)
def _any_module(monkeypatch):
    monkeypatch.setattr(known.Recipe, "__init__", lambda self, **fields: self.__dict__.update(fields))


def test_a_recipe_that_claims_nothing():
    silent = Paper(card=1, title="T", authors="Somebody", year=2024, arxiv="2401.00001", does="", claim="")
    with pytest.raises(AssertionError, match="recipe toy: its PAPER claims nothing"):
        check_recipe(recipe(PAPER=silent))


def test_a_config_that_changes_on_its_way(monkeypatch):
    class Forgetful:
        def __eq__(self, other):
            return False

    monkeypatch.setattr(checks, "from_config", lambda data: Forgetful())
    with pytest.raises(AssertionError, match="comes back from its config as another one"):
        check_recipe(recipe())


def test_a_model_that_is_not_on_meta():
    class Real:
        def build(self):
            import torch

            return torch.nn.Linear(2, 2, device="cpu")

    with pytest.raises(AssertionError, match="toy: the model of paper does not build on meta"):
        checks._check_meta(recipe(), Real(), "the model of paper")


def test_fitting_that_does_not_settle(monkeypatch):
    settled = Experiment.fit

    def fit(self):
        done = settled(self)
        return replace(done, n_samples=done.n_samples + 1)

    monkeypatch.setattr(Experiment, "fit", fit)
    with pytest.raises(AssertionError, match="fitting it twice changes it"):
        check_recipe(recipe())


def test_resuming_that_gives_other_weights(monkeypatch):
    honest = checks.train

    def train(experiment, folder, **options):
        if folder.name == "halves" and not options:  # the second half goes its own way
            return honest(replace(experiment, training=replace(experiment.training, seed=3)), folder.parent / "other")
        return honest(experiment, folder, **options)

    monkeypatch.setattr(checks, "train", train)
    with pytest.raises(AssertionError, match="resuming gives other weights"):
        check_recipe(recipe())


def test_a_saved_model_that_samples_something_else(monkeypatch):
    monkeypatch.setattr(checks, "load", lambda folder: checks.train(dit.experiment("tiny"), folder.parent / "b"))
    with pytest.raises(AssertionError, match="the saved model samples something else"):
        check_recipe(recipe(experiment=at("small", lambda e: e)))

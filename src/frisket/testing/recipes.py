"""Recipes: from a name to a trained, saved and read back pipeline, at `tiny`."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frisket.core.config import from_config, to_config
from frisket.experiments.arms import arms_of
from frisket.experiments.experiment import Experiment
from frisket.experiments.paper import bibtex
from frisket.experiments.phases import Given, given, inner
from frisket.experiments.recipes import Recipe
from frisket.experiments.run import look
from frisket.experiments.study import check_study
from frisket.experiments.system import build, load, train
from frisket.processes.base import built, config_of
from frisket.sampling.pipeline import Pipeline
from frisket.testing.claims import finite, same

STEPS = 2


def check_recipe(recipe: Recipe) -> None:
    """The promises of a recipe: its paper can be cited, its configs round-trip, the model of every size and arm builds
    on meta, and `tiny` trains two steps, is saved, comes back, resumes to the very weights of a straight run, makes finite
    samples in the shape of its data, and is looked at: samples, edits and measures."""
    bibtex(recipe.paper.cite)
    _claim(recipe.paper.claim and recipe.paper.does, recipe, "its PAPER claims nothing")
    for size in ("tiny", "small", "paper"):
        _check_config(recipe, recipe.experiment(size))
    for config in _models(recipe.experiment("paper")):
        _check_meta(recipe, config, "a model of paper")
    experiment = recipe.experiment("tiny")
    if experiment.study is not None:
        check_study(experiment.study)
        for name, arm in arms_of(experiment, experiment.study).items():
            for config in _models(_fitted(arm)):
                _check_meta(recipe, config, f"a model of arm {name!r}")
    short = replace(_short(experiment), study=None).fit()
    _claim(short.fit() == short, recipe, "fitting it twice changes it")
    for config in _models(_fitted(short)):
        _check_meta(recipe, config, "a model of tiny")
    with tempfile.TemporaryDirectory() as place:
        _check_training(recipe, short, Path(place))


def _models(experiment: Experiment) -> list[Any]:
    """The model of an experiment and those of its phases."""
    own = [] if experiment.model is None else [experiment.model]
    return [*own, *(config for phase in inner(experiment) for config in _models(phase))]


def _fitted(experiment: Experiment) -> Experiment:
    """The experiment and all its phases, fitted."""
    return replace(
        experiment.fit(), start=None if experiment.start is None else _fitted(experiment.start),
        needs={name: _fitted(phase) for name, phase in experiment.needs.items()},
    )  # fmt: skip


def _short(experiment: Experiment) -> Experiment:
    """The experiment with two steps of training, in every phase."""
    training = experiment.training
    if training is not None:
        training = replace(training, steps=STEPS, batch=min(training.batch, 4))
    return replace(
        experiment, training=training, start=None if experiment.start is None else _short(experiment.start),
        needs={name: _short(phase) for name, phase in experiment.needs.items()},
    )  # fmt: skip


def _claim(holds: Any, recipe: Recipe, promise: str) -> None:
    if not bool(holds):
        raise AssertionError(f"recipe {recipe.name}: {promise}")


def _check_config(recipe: Recipe, experiment: Experiment) -> None:
    again = from_config(json.loads(json.dumps(to_config(experiment))))
    _claim(again == experiment, recipe, "an experiment comes back from its config as another one")


def _check_meta(recipe: Recipe, config: Any, which: str) -> None:
    with torch.device("meta"):
        model = config.build()
    parameters = list(model.parameters())
    _claim(parameters and all(p.is_meta for p in parameters), recipe, f"{which} does not build on meta")


def _check_training(recipe: Recipe, experiment: Experiment, place: Path) -> None:
    straight = train(experiment, place / "straight")
    if experiment.training is not None:
        _check_resuming(recipe, experiment, place, straight)
    if experiment.process is not None and experiment.sampler is not None:
        made, again = (_samples(p) for p in (straight, load(place / "straight")))
        _check_samples(recipe, straight, made, again)
    sections, _ = look(experiment, straight, place / "straight")
    _claim(all(s.title for s in sections) and len(sections) >= 2, recipe, "its report shows nothing")


def _check_resuming(recipe: Recipe, experiment: Experiment, place: Path, straight: Pipeline) -> None:
    fresh = {
        name: value.clone()
        for name, value in build(experiment, _phases(experiment, place))[1].model.state_dict().items()
    }
    train(experiment, place / "halves", max_time=0)
    reached = [p.name for p in (place / "halves").glob("step-*")]
    _claim(reached == ["step-00000001"], recipe, f"a run stopped after its first step holds {reached}")
    resumed = train(experiment, place / "halves")
    ours, theirs = straight.model.state_dict(), resumed.model.state_dict()
    _claim(all(torch.equal(v, theirs[k]) for k, v in ours.items()), recipe, "resuming gives other weights")
    if isinstance(straight.process, nn.Module) and isinstance(resumed.process, nn.Module):
        learnt, again = straight.process.state_dict(), resumed.process.state_dict()
        _claim(all(torch.equal(v, again[k]) for k, v in learnt.items()), recipe, "resuming gives another process")
        built_anew = built(config_of(straight.process)).state_dict()
        changed = any(not torch.equal(v, built_anew[k]) for k, v in learnt.items())
        _claim(changed, recipe, "training changes no weight of the process")
    _claim(any(not torch.equal(v, fresh[k]) for k, v in ours.items()), recipe, "training changes no weight")


def _phases(experiment: Experiment, place: Path) -> Given:
    made = place / "made"
    return given(experiment, made, lambda phase, at: train(phase, at, made=made))


def _samples(pipeline: Pipeline) -> Any:
    return pipeline.sample(2, steps=STEPS, **pipeline.in_turn(2))


def _check_samples(recipe: Recipe, pipeline: Pipeline, made: Any, again: Any) -> None:
    if isinstance(made, Tensor):
        shape, wanted = tuple(made.shape), (2, *pipeline.info.shape)
        _claim(shape == wanted, recipe, f"samples are {shape}, the data {wanted}")
        _claim(finite(made), recipe, "samples are not finite")
        _claim(same(made, again), recipe, "the saved model samples something else")
    else:
        _claim(len(made) == 2, recipe, f"{len(made)} samples for 2")
        _claim(all(isinstance(item, str) and item for item in made), recipe, "samples are not text")
        _claim(list(made) == list(again), recipe, "the saved model samples something else")

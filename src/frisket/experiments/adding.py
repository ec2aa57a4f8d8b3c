"""A method on top of another system, where a recipe says how: `added(experiment)` puts the recipe's method on any
experiment that can carry it, so that methods of several papers are combined and compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from frisket.core.errors import FrisketError, check
from frisket.experiments.experiment import Experiment
from frisket.models.plans.base import TokenPlan
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.objectives.base import ObjectiveConfig


def with_objective(experiment: Experiment, objective: ObjectiveConfig, **needs: Experiment) -> Experiment:
    """A copy whose task has one more objective, and what that reads among its `needs`; phases before it stay as they are.

    Raises `FrisketError` on an experiment that does not train by the diffusion task, and on a need of another content
    under the same name.
    """
    task = experiment.task
    if not isinstance(task, Diffusion) or experiment.training is None:
        raise FrisketError(f"{experiment.name} does not train by task/diffusion, so no objective can be added to it")
    for name, need in needs.items():
        check(experiment.needs.get(name, need) == need, f"needs.{name}", experiment.needs.get(name), "free")
    return replace(
        experiment, task=replace(task, objectives=(*task.objectives, objective)), needs={**experiment.needs, **needs}
    )


def with_plan(experiment: Experiment, plan: TokenPlan) -> Experiment:
    """A copy whose model has a token plan. Raises `FrisketError` on a model that takes none, or has one already."""
    model: Any = experiment.model
    if not hasattr(model, "plan"):
        raise FrisketError(f"the model of {experiment.name} takes no token plan")
    check(model.plan is None, "model.plan", getattr(model.plan, "part_name", model.plan), "none: plans do not nest")
    return replace(experiment, model=replace(model, plan=plan))


def at_share(share: float, depth: int) -> int:
    """The block, from 0, that ends the leading `share` of a network of `depth` blocks: 8 of 28 is block 1 of 6."""
    check(0 < share <= 1, "share", share, "above 0 and at most 1")
    return max(1, round(share * depth)) - 1


def depth_of(experiment: Experiment) -> int:
    """Blocks of an experiment's model. Raises `FrisketError` on one that states no depth."""
    depth = getattr(experiment.model, "depth", None)
    if depth is None:
        raise FrisketError(f"the model of {experiment.name} states no depth, so no block of it can be named")
    return depth

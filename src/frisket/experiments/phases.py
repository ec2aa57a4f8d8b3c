"""Phases: the experiments that an experiment starts from or needs, each made once for equal contents.

A made phase is a run folder `NAME-DIGEST` beside the runs that use it; its digest covers everything that decides its
weights, seeds and the data's content included. One that was interrupted goes on, one that is done is read back.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frisket.core.config import digest, to_config
from frisket.experiments.experiment import Experiment, train_flops
from frisket.sampling.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class Given:
    """What an experiment was given by its phases: the pipeline it starts from, and those it needs by name."""

    start: Pipeline | None = None
    needs: Mapping[str, Pipeline] = field(default_factory=dict)


def inner(experiment: Experiment) -> list[Experiment]:
    """The phases that an experiment itself names."""
    return [*([] if experiment.start is None else [experiment.start]), *experiment.needs.values()]


def place_of(phase: Experiment, made: Path) -> Path:
    """The run folder of a phase: equal contents, equal folder."""
    config = json.dumps(_deciding(to_config(phase)), sort_keys=True)
    return made / f"{phase.name}-{digest([config, phase.data.open('train').info.digest])}"


def _deciding(config: dict[str, Any]) -> dict[str, Any]:
    """What decides the weights in a phase's plain config: all but its name and how it is looked at and scored."""
    kept = {k: v for k, v in config.items() if k not in ("name", "study", "looks", "n_samples")}
    kept["start"] = _deciding(config["start"]) if config["start"] else None
    return kept | {"needs": {name: _deciding(phase) for name, phase in config["needs"].items()}}


def levels(experiments: list[Experiment], made: Path) -> list[dict[Path, Experiment]]:
    """Every phase under `experiments`, each once, in levels: what a phase names lies in an earlier level than it."""
    depths: dict[Path, tuple[int, Experiment]] = {}

    def visit(experiment: Experiment) -> int:
        deepest = 0
        for phase in inner(experiment):
            depth, place = visit(phase), place_of(phase, made)
            depths[place] = (max(depth, depths.get(place, (0, phase))[0]), phase)
            deepest = max(deepest, depth + 1)
        return deepest

    for experiment in experiments:
        visit(experiment)
    return [
        {place: phase for place, (own, phase) in depths.items() if own == depth}
        for depth in range(1 + max((own for own, _ in depths.values()), default=-1))
    ]


def given(experiment: Experiment, made: Path, train: Callable[[Experiment, Path], Pipeline]) -> Given:
    """Make, or read back, what an experiment names. train: makes one phase in its folder."""
    start = None if experiment.start is None else make(experiment.start, made, train)
    return Given(start=start, needs={name: make(phase, made, train) for name, phase in experiment.needs.items()})


def make(phase: Experiment, made: Path, train: Callable[[Experiment, Path], Pipeline]) -> Pipeline:
    """One phase's pipeline, trained in its folder if it is not there yet."""
    place = place_of(phase, made)
    with _alone(place):
        if (place / "model" / "config.json").is_file():
            return Pipeline.from_pretrained(place / "model")
        return train(phase, place)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One process at a time makes a phase; the others wait and read it. Processes of one torchrun make it together."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        yield
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def flops_before(experiment: Experiment, made: Path) -> float:
    """Training FLOPs of all phases under an experiment, each counted once."""
    return sum(train_flops(phase.fit()) for level in levels([experiment], made) for phase in level.values())

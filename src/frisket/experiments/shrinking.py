"""Shrinking a model that is there: search, edit, recover, and the same recovery for pruning that learned nothing.

Any pipeline with blocks will do; no experiment has to have made it. All variants keep the same number of parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frisket.compression.gates import Groups
from frisket.compression.importance import Interval, Magnitude, Random
from frisket.compression.prune import PruneBlocks, PruneUnits
from frisket.core.errors import FrisketError, check, unknown
from frisket.data.base import Data
from frisket.evaluation.compare import number
from frisket.evaluation.report import Section, Table
from frisket.experiments.arms import macs_of
from frisket.experiments.measures import held_out
from frisket.experiments.preparation import Preparation
from frisket.models.count import count_parameters
from frisket.models.numbering import blocks_of
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.base import TaskConfig
from frisket.tasks.depth_search import DepthSearch
from frisket.tasks.distillation import Distillation
from frisket.tasks.width_search import Trajectory, WidthSearch
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Constant, Cosine
from frisket.training.trainer import Trainer, Watching

MOST_PATTERNS = 10_000  # of one group of blocks
GATE_LR = {"tinyfusion": 2e-3, "ecodiff": 0.5}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is spent. keep: share of blocks (tinyfusion) or of heads and hidden units (ecodiff) that stays; the
    method's usual one if None. search, recovery: steps, 0 recovery for none. batch: samples a step; lr: of weights.
    through: sampler steps that ecodiff learns through. items: held-out items that are scored."""

    method: str = "tinyfusion"
    keep: float | None = None
    search: int = 200
    recovery: int = 300
    batch: int = 32
    lr: float = 5e-4
    through: int = 10
    items: int = 500
    seed: int = 0

    def __post_init__(self):
        if self.method not in USUAL:
            raise unknown("method", self.method, USUAL)
        for name in ("search", "batch", "through", "items"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        check(self.recovery >= 0, "recovery", self.recovery, "0 or more")
        check(self.lr > 0, "lr", self.lr, "above 0")
        check(0 < self.share < 1, "keep", self.share, "between 0 and 1")

    @property
    def share(self) -> float:
        return USUAL[self.method] if self.keep is None else self.keep


USUAL = {"tinyfusion": 0.5, "ecodiff": 0.75}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One model: how it was made, what it is and what it loses. recovered: None where nothing was trained."""

    name: str
    parameters: int
    macs: int
    pruned: float
    recovered: float | None = None


def shrink(
    load: Callable[[], Pipeline], data: Data, plan: Plan, folder: Path, say: Callable[[str], None] = print
) -> tuple[Pipeline, list[Variant]]:
    """Search, edit and recover the pipeline that `load` gives (anew at each call); the baselines beside it.

    Writes `folder`/model and the runs under `folder`/runs. The first variant is the unpruned model, the second the
    method's. Raises `FrisketError` before any training on a folder that holds something, a model the method cannot
    prune, and data it cannot read.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FrisketError(f"{folder} holds something already; choose another --out")
    task, pruners = _parts(load(), plan)
    task.build(load(), {})
    full = _measured("unpruned", load(), data, plan)
    say(f"unpruned: {full.parameters:,} parameters, held-out loss {number(full.pruned)}")
    say(f"{plan.method}: searching for {plan.search} steps")
    found = _fit(task.build(load(), {}), _search_trainer(plan), data, folder / "runs" / "search")
    shrunk, variant = _recovered(plan.method, found, load, data, plan, folder, say)
    variants = [full, variant]
    for name, pruner in pruners.items():
        pruned = pruner.apply(load(), data, {}, plan.seed)
        variants.append(_recovered(name, pruned, load, data, plan, folder, say)[1])
    shrunk.save_pretrained(folder / "model")
    return shrunk, variants


def _parts(pipeline: Pipeline, plan: Plan) -> tuple[TaskConfig, Mapping[str, Preparation]]:
    """The method's search, and the preparations it is compared with."""
    if plan.method == "tinyfusion":
        depth = len(blocks_of(pipeline.model))
        groups = groups_for(depth, plan.share)
        removed = depth - sum(keep for keep, _ in groups)
        rankings = {"interval": Interval(), "magnitude": Magnitude(), "random": Random()}
        search = DepthSearch(groups=groups, rate=GATE_LR[plan.method] / plan.lr)
        return search, {name: PruneBlocks(by=by, remove=removed) for name, by in rankings.items()}
    gone = 1.0 - plan.share
    steps = min(plan.through, pipeline.sampler.steps)
    aim = Trajectory(sampler=replace(pipeline.sampler, steps=steps))
    pruners = {
        name: PruneUnits(by=by, heads=gone, hidden=gone)
        for name, by in {"magnitude": Magnitude(), "random": Random()}.items()
    }
    return WidthSearch(heads=gone, hidden=gone, aim=aim), pruners


def groups_for(depth: int, share: float) -> Groups:
    """The smallest equal groups of neighbouring blocks that keep about `share` of `depth`, at least one block and not
    all. Raises `FrisketError` where a group would have too many patterns to learn."""
    check(depth >= 2, "blocks of the model", depth, "2 or more")
    keep = min(max(round(depth * share), 1), depth - 1)
    count = math.gcd(keep, depth)
    patterns = math.comb(depth // count, keep // count)
    check(
        patterns <= MOST_PATTERNS, "keep", share,
        f"a share that cuts {depth} blocks into small groups (this one has {patterns:,} patterns a group)",
    )  # fmt: skip
    return ((keep // count, depth // count),) * count


def _recovered(
    name: str, pruned: Pipeline, load: Callable[[], Pipeline], data: Data, plan: Plan, folder: Path, say: Callable
) -> tuple[Pipeline, Variant]:
    """A pruned pipeline after its recovery, and its numbers before and after."""
    before = _measured(name, pruned, data, plan)
    if plan.recovery == 0:
        say(f"{name}: {before.parameters:,} parameters, held-out loss {number(before.pruned)}")
        return pruned, before
    for p in pruned.model.parameters():
        p.requires_grad_(True)
    task = Distillation().build(pruned, {"teacher": load()})
    after = _fit(task, _recovery_trainer(plan), data, folder / "runs" / name)
    loss = _loss(after, data, plan)
    say(f"{name}: {before.parameters:,} parameters, held-out loss {number(before.pruned)}, recovered {number(loss)}")
    return after, replace(before, recovered=loss)


def _fit(task: Any, trainer: Trainer, data: Data, folder: Path) -> Pipeline:
    """The averaged pipeline that a run saved."""
    result = trainer.fit(task, data.open("train"), folder)
    if result.folder is None:
        raise FrisketError(f"{folder}: the run stopped before its first checkpoint")
    return Pipeline.from_pretrained(result.folder)


def _search_trainer(plan: Plan) -> Trainer:
    from frisket.training.ema import Fixed

    gates_alone = plan.method == "ecodiff"
    return Trainer(
        batch=plan.batch, steps=plan.search, seed=plan.seed,
        optimiser=AdamW(lr=GATE_LR["ecodiff"] if gates_alone else plan.lr),
        schedule=Constant(warmup=min(10, plan.search)), emas=() if gates_alone else (Fixed(rate=0.98),),
        watching=Watching(previews=0),
    )  # fmt: skip


def _recovery_trainer(plan: Plan) -> Trainer:
    return Trainer(
        batch=plan.batch, steps=plan.recovery, seed=plan.seed, optimiser=AdamW(lr=plan.lr),
        schedule=Cosine(warmup=min(20, plan.recovery)), watching=Watching(previews=0),
    )  # fmt: skip


def _measured(name: str, pipeline: Pipeline, data: Data, plan: Plan) -> Variant:
    return Variant(
        name=name,
        parameters=count_parameters(pipeline.model),
        macs=macs_of(pipeline),
        pruned=_loss(pipeline, data, plan),
    )


def _loss(pipeline: Pipeline, data: Data, plan: Plan) -> float:
    return held_out(pipeline, data, plan.items, plan.seed).mean.value


def section(plan: Plan, variants: list[Variant]) -> Section:
    """A table of all variants, and what was spent."""
    first = variants[0]
    rows = []
    for v in variants:
        less = "" if v is first else f"{1 - v.parameters / first.parameters:.0%}"
        after = "" if v.recovered is None else number(v.recovered)
        rows.append((v.name, f"{v.parameters:,}", less, f"{v.macs / 1e6:,.2f} M", number(v.pruned), after))
    text = (f"One seed, so differences are not judged. {plan.method}: {plan.search} steps of search, which the others do "
            f"not spend; then {plan.recovery} steps of distillation for all, {plan.batch} samples each.")  # fmt: skip
    columns = ("model", "parameters", "fewer", "multiply-adds", "held-out loss", "after recovery")
    return Section(
        title="Size and loss", text=text, table=Table(columns=columns, rows=tuple(rows), right=(1, 2, 3, 4, 5))
    )

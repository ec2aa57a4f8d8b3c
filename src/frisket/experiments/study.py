"""A study: arms at an equal budget over several seeds, paired intervals, a verdict. And `verify`: a paper's evidence."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frisket.core.errors import FrisketError, check, unknown
from frisket.core.files import write_json
from frisket.evaluation.intervals import paired, verdict
from frisket.experiments.arms import ArmResult, arms_of, equal_flops, run_arms
from frisket.experiments.experiment import Experiment, Less, More, Study
from frisket.experiments.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a study found: every arm's results, and one row an expectation."""

    results: tuple[ArmResult, ...]
    rows: tuple[dict[str, Any], ...]

    @property
    def verdict(self) -> str:
        """"shown" only if every expectation is; "opposite" if any is; else "not shown at this scale"."""
        found = {row["verdict"] for row in self.rows}
        return "opposite" if "opposite" in found else "shown" if found == {"shown"} else "not shown at this scale"


def values(results: Sequence[ArmResult], arm: str, measure: str) -> list[float]:
    """A measure of one arm, in the order of seeds."""
    return [r.measures[measure] for r in sorted(results, key=lambda r: r.seed) if r.arm == arm]


def weigh(results: Sequence[ArmResult], expect: Less | More) -> dict[str, Any]:
    """One expectation against the results: the paired difference ours - than with its interval, and the verdict."""
    ours, than = values(results, expect.ours, expect.measure), values(results, expect.than, expect.measure)
    direction = "less" if isinstance(expect, Less) else "more"
    interval = paired(ours, than)
    return {
        "measure": expect.measure, "ours": expect.ours, "than": expect.than, "expected": direction,
        "mean_ours": sum(ours) / len(ours), "mean_than": sum(than) / len(than),
        "difference": interval.value, "low": interval.low, "high": interval.high,
        "verdict": verdict(interval.each, direction),
    }  # fmt: skip


def run_study(
    experiment: Experiment, study: Study, *, folder: Path, procs: int, say: Callable[[str], None] = print
) -> Outcome:
    """Train and measure all arms. Raises `FrisketError` on an expectation about an unknown arm or measure."""
    check(study.seeds >= 3, "study.seeds", study.seeds, "at least 3")
    names = [m.name for m in study.measures]
    for expect in study.expect:
        for arm in (expect.ours, expect.than):
            if arm not in study.arms:
                raise unknown("arm", arm, study.arms)
        if expect.measure not in names:
            raise unknown("measure", expect.measure, names)
    arms = arms_of(experiment, study.arms)
    if study.budget == "flops":
        arms = equal_flops(arms)
    results = run_arms(arms, study.measures, seeds=study.seeds, folder=folder, procs=procs, say=say)
    return Outcome(results=tuple(results), rows=tuple(weigh(results, e) for e in study.expect))


def effect_record(study: Study, outcome: Outcome) -> dict[str, Any]:
    """The study as plain data for `results/NAME.json`."""
    arms: dict[str, Any] = {}
    for name in study.arms:
        own = [r for r in outcome.results if r.arm == name]
        arms[name] = {
            "changes": {k: str(v) for k, v in study.arms[name].items()},
            "cost": {k: v for k, v in own[0].cost.items() if k != "train_seconds"},
            "measures": {m.name: values(outcome.results, name, m.name) for m in study.measures},
        }
    return {
        "verdict": outcome.verdict, "proxy": study.proxy, "budget": study.budget, "seeds": study.seeds,
        "note": study.note, "expectations": list(outcome.rows), "arms": arms,
    }  # fmt: skip


def verify(
    recipe: Recipe, *, size: str, folder: Path, arms: Path, results: Path, procs: int, run: Callable[[Experiment, Path], Any],
    say: Callable[[str], None] = print,
) -> dict[str, Any]:  # fmt: skip
    """Gather a recipe's evidence and write `results/NAME.json`: runs `size` end to end (`run`), computes every
    published count, compares with the golden arrays, trains the study's arms."""
    import torch

    from frisket import __version__

    experiment = recipe.experiment(size)
    record: dict[str, Any] = {
        "recipe": recipe.name, "arxiv": recipe.paper.arxiv, "claim": recipe.paper.claim, "size": size,
        "frisket": __version__, "torch": torch.__version__, "machine": f"{platform.machine()}, {platform.system()}",
        "date": datetime.now(UTC).date().isoformat(),
        "data": {split: experiment.data.open(split).info.digest for split in ("train", "test")},
    }  # fmt: skip
    record["counts"] = []
    for count in recipe.counts:
        ours = count.compute()
        ok = abs(ours - count.published) <= count.tolerance * abs(count.published)
        record["counts"].append({"name": count.name, "published": count.published, "ours": ours, "ok": ok})
        say(f"count {count.name}: published {count.published:g}, ours {ours:g}{'' if ok else '  DIFFERS'}")
    if recipe.parity is not None:
        difference = recipe.parity.difference()
        ok = difference <= recipe.parity.limit
        record["parity"] = {"kind": recipe.parity.kind, "difference": difference, "limit": recipe.parity.limit, "ok": ok}
        say(f"parity ({recipe.parity.kind}): largest difference {difference:.2g}")
    run(experiment, folder / "run")
    record["works"] = {"ok": True, "size": size}
    if experiment.study is None:
        raise FrisketError(f"recipe {recipe.name} has no study, so there is no claim to verify")
    outcome = run_study(experiment, experiment.study, folder=arms, procs=procs, say=say)
    record["effect"] = effect_record(experiment.study, outcome)
    write_json(results / f"{recipe.name}.json", record)
    return record


def compare_experiments(
    arms: Mapping[str, Experiment], *, measures: Sequence[Any], seeds: int, folder: Path, procs: int, flops: bool,
    say: Callable[[str], None] = print,
) -> list[ArmResult]:  # fmt: skip
    """Arms from different recipes, fitted to one data set and trained at an equal budget.

    Raises `FrisketError` when arms cannot be compared: other data, or a process loss across processes.
    """
    fitted = {name: arm.fit() for name, arm in arms.items()}
    first = next(iter(fitted.values()))
    for name, arm in fitted.items():
        if arm.data != first.data:
            raise FrisketError(f"arm {name} learns from {arm.data}, another from {first.data}; give both --data")
        if arm.process != first.process and any(m.name == "loss" for m in measures):
            raise FrisketError(f"arm {name} has another process, so its loss is another quantity; use --measure frechet")
    if flops:
        fitted = equal_flops(fitted)
    return run_arms(fitted, measures, seeds=seeds, folder=folder, procs=procs, say=say)

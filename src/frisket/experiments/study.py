"""A study: arms at an equal budget over several seeds, paired intervals, a verdict. And `verify`: a paper's evidence."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frisket.core.config import digest
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.files import write_json
from frisket.evaluation.compare import Comparison, compare
from frisket.evaluation.report import Section, Table
from frisket.experiments.arms import ArmResult, arms_of, equal_flops, run_arms
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.measures import check_measurable, check_measures
from frisket.experiments.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a study found: every arm's results, and their comparison with the judged expectations."""

    results: tuple[ArmResult, ...]
    comparison: Comparison

    @property
    def verdict(self) -> str:
        """ "shown" only if every expectation is; "opposite" if any is; else "not shown at this scale"."""
        found = {j.verdict for j in self.comparison.judgements}
        return "opposite" if "opposite" in found else "shown" if found == {"shown"} else "not shown at this scale"


def table(results: Sequence[ArmResult], arms: Sequence[str], measures: Sequence[str]) -> dict[str, dict[str, list]]:
    """arm -> measure -> one value a seed, in the order of seeds."""
    ordered = sorted(results, key=lambda r: r.seed)
    return {arm: {m: [r.measures[m] for r in ordered if r.arm == arm] for m in measures} for arm in arms}


def run_study(
    experiment: Experiment, study: Study, *, folder: Path, procs: int, say: Callable[[str], None] = print
) -> Outcome:
    """Train and measure all arms. Raises `FrisketError`, before any work, on a study that makes no sense."""
    check_study(study)
    arms = arms_of(experiment, study)
    for arm in arms.values():
        check_measurable(arm, study.measures)
    if study.budget == "flops":
        arms = equal_flops(arms)
    results = run_arms(arms, study.measures, seeds=study.seeds, folder=folder, procs=procs, say=say)
    names = list(study.arms)
    comparison = compare(table(results, names, study.measures), names[0], expected=study.expect)
    return Outcome(results=tuple(results), comparison=comparison)


def check_study(study: Study) -> None:
    """Raise `FrisketError` unless its seeds, measures and expectations make sense."""
    check(study.seeds >= 3, "study.seeds", study.seeds, "at least 3")
    if study.budget in ("forwards", "compute"):
        stated = study.budget in study.measures
        check(stated, "study.measures", study.measures, f"with {study.budget!r}, which the budget holds equal")
    check_measures(study.measures)
    for expect in study.expect:
        for arm in (expect.arm, expect.other):
            if arm not in study.arms:
                raise unknown("arm", arm, study.arms)
        if expect.measure not in study.measures:
            raise unknown("measure", expect.measure, study.measures)


def _said(value: Any) -> str:
    """A change in words; a phase by its name and digest, for its config fills pages."""
    return f"{value.name}-{digest(value)}" if isinstance(value, Experiment) else str(value)


def effect_record(study: Study, outcome: Outcome) -> dict[str, Any]:
    """The study as plain data for `results/NAME.json`."""
    arms: dict[str, Any] = {}
    for name in study.arms:
        own = [r for r in outcome.results if r.arm == name]
        arms[name] = {
            "changes": {k: _said(v) for k, v in study.arms[name].items()},
            "cost": {k: v for k, v in own[0].cost.items() if k != "train_seconds"},
            "measures": table(own, [name], study.measures)[name],
        }
    return {
        "verdict": outcome.verdict, "proxy": study.proxy, "budget": study.budget,
        "note": study.note, **outcome.comparison.as_dict(), "arms": arms,
    }  # fmt: skip


def verify(
    recipe: Recipe, *, size: str, folder: Path, arms: Path, results: Path, procs: int,
    run: Callable[[Experiment, Path], Any], say: Callable[[str], None] = print,
) -> dict[str, Any]:  # fmt: skip
    """Gather a recipe's evidence and write `results/NAME.json`: runs `size` end to end (`run`), computes every
    published count, compares with the golden arrays, trains the study's arms."""
    import torch

    from frisket import __version__

    experiment = recipe.experiment(size)
    if experiment.study is None:
        raise FrisketError(f"recipe {recipe.name} has no study, so there is no claim to verify")
    check_study(experiment.study)
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
        record["parity"] = {
            "kind": recipe.parity.kind,
            "difference": difference,
            "limit": recipe.parity.limit,
            "ok": ok,
        }
        say(f"parity ({recipe.parity.kind}): largest difference {difference:.2g}")
    run(experiment, folder / "run")
    record["works"] = {"ok": True, "size": size}  # it came this far
    outcome = run_study(experiment, experiment.study, folder=arms, procs=procs, say=say)
    record["effect"] = effect_record(experiment.study, outcome)
    write_json(results / f"{recipe.name}.json", record)
    return record


def compare_experiments(
    arms: Mapping[str, Experiment], *, measures: Sequence[str], seeds: int, folder: Path, procs: int, flops: bool,
    say: Callable[[str], None] = print,
) -> list[ArmResult]:  # fmt: skip
    """Arms from different recipes, fitted to one data set and trained at an equal budget.

    Raises `FrisketError` when arms cannot be compared: other data, a loss across processes, a loss or bits across
    codecs.
    """
    fitted = {name: arm.fit() for name, arm in arms.items()}
    first = next(iter(fitted.values()))
    for name, arm in fitted.items():
        if arm.data != first.data:
            raise FrisketError(f"arm {name} learns from {arm.data}, another from {first.data}; give both --data")
        if arm.process != first.process and "loss" in measures:
            raise FrisketError(
                f"arm {name} has another process, so its loss is another quantity; choose other measures"
            )
        if arm.codec != first.codec and not {"loss", "bits"}.isdisjoint(measures):
            raise FrisketError(f"arm {name} has another codec, so loss and bits are of other states; measure samples")
        check_measurable(arm, measures)
    if flops:
        fitted = equal_flops(fitted)
    return run_arms(fitted, measures, seeds=seeds, folder=folder, procs=procs, say=say)


def costs_table(results: Sequence[ArmResult]) -> Section:
    """What each arm cost: parameters, steps, samples, training FLOPs; the same for all its seeds."""
    rows = []
    for arm in dict.fromkeys(r.arm for r in results):
        cost = next(r.cost for r in results if r.arm == arm)
        rows.append((arm, f"{cost['parameters']:,.0f}", f"{cost['macs'] / 1e6:,.2f} M", f"{cost.get('steps', 0):,.0f}",
                     f"{cost.get('samples', 0):,.0f}", f"{cost['train_flops']:.3g}"))  # fmt: skip
    columns = ("arm", "parameters", "forward MACs", "steps", "samples", "training FLOPs")
    return Section(title="Cost", table=Table(columns=columns, rows=tuple(rows), right=(1, 2, 3, 4, 5)))

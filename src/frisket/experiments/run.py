"""One experiment end to end: train, sample, edit, evaluate, report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from frisket.core.config import to_config
from frisket.core.errors import FrisketError
from frisket.evaluation.report import Report, Section, Table, library_versions, write_report
from frisket.evaluation.sections import heldout_section, loss_section
from frisket.experiments.arms import macs_of
from frisket.experiments.experiment import Experiment, seed_of, seeded, train_flops
from frisket.experiments.measures import held_out
from frisket.experiments.paper import Paper, bibliography
from frisket.experiments.phases import inner
from frisket.experiments.showcase import show
from frisket.experiments.system import FIRST, train
from frisket.models.count import count_parameters
from frisket.sampling.pipeline import Pipeline


def run(
    experiment: Experiment, folder: Path, *, paper: Paper | None = None, seed: int | None = None, resume: str = "auto",
    max_time: float | None = None, command: str = "", made: Path | None = None, say: Callable[[str], None] = print,
) -> Path:  # fmt: skip
    """Train `experiment` in `folder`, look at the result and write report.html and report.json there.

    command: what made it, for the report. made: where phases lie; beside `folder` if None. Returns the page's path. The
    same call on an interrupted folder goes on; on a finished one only the report is made again. Raises `FrisketError`
    before any work on what does not fit.
    """
    began = time.monotonic()
    experiment = replace(experiment if seed is None else seeded(experiment, seed), study=None).fit()
    say(f"{experiment.name}: training in {folder}")
    pipeline = train(experiment, folder, resume=resume, max_time=max_time, made=made)
    trained = time.monotonic()
    if not FIRST:
        return folder / "report.html"  # the first process writes it
    say("sampling, editing, evaluating")
    sections, results = look(experiment, pipeline, folder)
    timings = {"training": trained - began, "sampling and evaluation": time.monotonic() - trained}
    page = write_report(
        folder,
        Report(
            title=paper.title if paper else experiment.name,
            summary=paper.does if paper else "",
            sections=sections,
            config=to_config(experiment),
            versions=library_versions(),
            seed=seed_of(experiment),
            timings=timings,
            command=command,
            citations=bibliography([paper.cite] if paper else [], to_config(experiment)),
            results=results,
        ),
    )
    say(f"report: {page}")
    return page


def look(experiment: Experiment, pipeline: Pipeline, folder: Path) -> tuple[list[Section], dict]:
    """All sections of a trained run, and their numbers."""
    records = read_metrics(folder) if experiment.training is not None else []
    sections, results = [_cost(experiment, pipeline)], {}
    if records:
        sections.append(loss_section([r["step"] for r in records], {"loss": [r["loss"] for r in records]}))
    looks = [look.sections for look in experiment.looks] or [show]
    for sections_of in looks:
        shown, found = sections_of(pipeline, experiment.data, experiment.n_samples, folder)
        sections += shown
        results |= found
    if experiment.process is not None:
        losses = held_out(pipeline, experiment.data, experiment.n_samples)
        results["held_out_loss"] = losses.as_dict()
        sections.append(heldout_section({experiment.name: losses}))
    return sections, results


def read_metrics(folder: Path) -> list[dict]:
    """The records of metrics.jsonl."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        raise FrisketError(f"{path} does not exist, so {folder} is no run")
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def _cost(experiment: Experiment, pipeline: Pipeline) -> Section:
    training, macs = experiment.training, macs_of(pipeline)
    rows = [("parameters", f"{count_parameters(pipeline.model):,}")]
    if macs:
        rows.append(("multiply-adds of a forward", f"{macs / 1e6:,.2f} M"))
    if training is not None:
        rows.append(("training", f"{training.steps:,} steps of {training.batch} samples"))
        rows.append(("training FLOPs", f"{train_flops(experiment):.3g}"))
    for phase in inner(experiment):
        rows.append((f"phase before: {phase.name}", f"{train_flops(phase.fit()):.3g} training FLOPs"))
    if experiment.sampler is not None:
        rows.append(("sampling", f"{experiment.sampler.steps} steps"))
    return Section(title="Size and cost", table=Table(columns=("what", "how much"), rows=tuple(rows), right=(1,)))

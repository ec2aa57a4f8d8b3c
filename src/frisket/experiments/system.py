"""From an experiment to a trained pipeline: build the parts, train, read back what was saved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from frisket.core.config import to_config
from frisket.core.errors import FrisketError
from frisket.core.files import read_json, write_json
from frisket.data.base import Source, Stream
from frisket.experiments.experiment import Experiment, seed_of, seeded
from frisket.experiments.phases import Given, given, inner
from frisket.models.init import materialise
from frisket.processes.base import config_of
from frisket.sampling.pipeline import Pipeline
from frisket.training.trainer import Result, starting_point

FIRST = int(os.environ.get("RANK", "0")) == 0  # of the processes that torchrun started


def build(experiment: Experiment, given: Given | None = None) -> tuple[Any, Pipeline, Source | Stream]:
    """The task (None where nothing is trained), the pipeline, and the training data of a *fitted* experiment. Fresh
    weights come from the training seed; those of a start are kept."""
    given = given or Given()
    source = experiment.data.open("train")
    pipeline = begin(experiment, given, source)
    for preparation in experiment.prepare:
        pipeline = preparation.apply(pipeline, experiment.data, given.needs, seed_of(experiment))
    if experiment.training is None:
        return None, pipeline, source
    return experiment.task.build(pipeline, given.needs), pipeline, source


def begin(experiment: Experiment, given: Given, source: Source | Stream) -> Pipeline:
    """The pipeline before any preparation: the start's, or a new one; with the experiment's own parts."""
    first = given.start
    if first is None or experiment.start is None or experiment.model != experiment.start.fit().model:
        model: Any = nn.Identity() if experiment.model is None else experiment.model.build()
        if experiment.model is not None:
            materialise(model, seed_of(experiment))
        if first is not None:
            take_weights(model, first.model)
    else:
        model = first.model
    codec: Any = experiment.codec
    kept = first is not None and experiment.process == config_of(first.process)
    pipeline = Pipeline(
        model, first.process if kept else experiment.process, codec, experiment.sampler, source.info, reads=experiment.reads,  # type: ignore[arg-type]
        stages=None if first is None else first.stages,
    )  # fmt: skip
    fresh = getattr(pipeline.coder, "fresh", None)
    if experiment.model is None and first is None and fresh is not None:
        fresh(seed_of(experiment))  # the codec is what this experiment trains
    learnt = given.needs.get("codec", first)
    if isinstance(pipeline.coder, nn.Module) and learnt is not None and learnt.codec == codec:
        pipeline.coder = learnt.coder
    elif hasattr(pipeline.coder, "take"):
        pipeline.coder.take(given.needs)  # type: ignore[union-attr]
    for reader in pipeline.readers.values():
        reader.codec = (
            trained_codec(reader.config.codec, [*([first] if first else []), *given.needs.values()]) or reader.codec
        )
    return pipeline


def trained_codec(config: Any, pipelines: Sequence[Pipeline]) -> Any:
    """The built codec with weights of the first pipeline that has one of this config, for its states or for what it
    reads; None where there is none."""
    for pipeline in pipelines:
        held = [(pipeline.codec, pipeline.coder), *((r.config.codec, r.codec) for r in pipeline.readers.values())]
        for other, built in held:
            if other == config and isinstance(built, nn.Module):
                return built
    return None


def take_weights(model: nn.Module, other: nn.Module) -> None:
    """Give `model` the weights of another that has the same names and shapes. Raises `FrisketError` naming what differs."""
    own, theirs = model.state_dict(), other.state_dict()
    for name in (*own, *theirs):
        if name not in own or name not in theirs or own[name].shape != theirs[name].shape:
            raise FrisketError(f"the model cannot take its start's weights: {name} is not in both with one shape")
    model.load_state_dict(theirs)


def load(target: str | Path) -> Pipeline:
    """The pipeline of a run folder (its `model/`), of a model folder, or of a repository of the Hugging Face hub.

    Raises `FrisketError` on a file, on a run that has not finished, and as `Pipeline.from_pretrained` does.
    """
    return Pipeline.from_pretrained(model_of(target))


def model_of(target: str | Path) -> str | Path:
    """The model folder of a run folder; anything else as it is."""
    folder = Path(target)
    if folder.is_file():
        raise FrisketError(
            f"{target} is a file; a model is a folder (frisket import turns official checkpoints into one)"
        )
    if (folder / "model").is_dir():
        return folder / "model"
    if (folder / "metrics.jsonl").is_file():
        raise FrisketError(
            f"{target} is a run that has not finished; start the same command again, or name a checkpoint"
        )
    return target


def train(
    experiment: Experiment, folder: Path | str, *, seed: int | None = None, resume: str = "auto",
    max_time: float | None = None, quiet: bool = False, made: Path | None = None,
) -> Pipeline:  # fmt: skip
    """Train an experiment in `folder` and return the pipeline with the averaged weights.

    Its phases are made first, in `made` (default: the folder "made" beside `folder`). The experiment is fitted to its
    data. Writes config.json, metrics.jsonl, checkpoints and `model/`; only config.json and `model/` where nothing is
    trained. A folder that holds another experiment is refused; one that was interrupted goes on; one that is done is
    read back.
    """
    if seed is not None:
        experiment = seeded(experiment, seed)
    experiment, folder = replace(experiment, study=None).fit(), Path(folder)
    if quiet:
        experiment = _quiet(experiment)
    refuse_another(folder, experiment)
    starting_point(folder, resume)  # refuses before anything is written
    made = made or folder.parent / "made"
    phases = given(experiment, made, lambda phase, place: train(phase, place, quiet=True, made=made))
    task, pipeline, source = build(experiment, phases)
    if FIRST:
        write_json(folder / "config.json", to_config(experiment))
    if experiment.training is None:
        return _kept(pipeline, folder)
    result = experiment.training.fit(task, source, folder, resume=resume, max_time=max_time)
    return finish(pipeline, result, folder)


def _quiet(experiment: Experiment) -> Experiment:
    training = experiment.training
    if training is None:
        return experiment
    return replace(experiment, training=replace(training, watching=replace(training.watching, previews=0)))


def _kept(pipeline: Pipeline, folder: Path) -> Pipeline:
    """The pipeline of an experiment that trains nothing, saved where a trained one would lie."""
    if FIRST:
        pipeline.save_pretrained(folder / "model")
    pipeline.model.eval()
    return pipeline


def refuse_another(folder: Path, experiment: Experiment) -> None:
    """Raise `FrisketError` naming the fields that differ if `folder` holds another experiment's run."""
    path = folder / "config.json"
    if not path.is_file():
        return
    changed = differing(read_json(path), to_config(experiment))
    if changed:
        more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
        raise FrisketError(
            f"{folder} holds a run with another {', '.join(changed[:4])}{more}; choose another --out, or remove it to "
            "start anew"
        )


def differing(held: Any, config: Any, name: str = "") -> list[str]:
    """Dotted names of the fields in which two plain configs differ; a part of another kind is named as a whole."""
    if isinstance(held, dict) and isinstance(config, dict) and held.get("part") == config.get("part"):
        pairs = {k: (held.get(k), config.get(k)) for k in (*held, *config)}
    elif isinstance(held, list) and isinstance(config, list) and len(held) == len(config):
        pairs = {str(i): pair for i, pair in enumerate(zip(held, config, strict=True))}
    else:
        return [] if held == config else [name]
    return [n for k, (a, b) in pairs.items() for n in differing(a, b, f"{name}.{k}" if name else k)]


def finish(pipeline: Pipeline, result: Result, folder: Path) -> Pipeline:
    """Save the averaged weights of the last checkpoint as `model/` and return the pipeline that holds them."""
    if result.folder is None:
        raise FrisketError(f"{folder}: the run stopped before its first checkpoint")
    trained = Pipeline.from_pretrained(result.folder)
    if FIRST:
        trained.save_pretrained(folder / "model")
    return trained


def dry_run(experiment: Experiment) -> str:
    """Build everything of an experiment, make one update and take it back, write nothing; what a run would cost."""
    experiment = experiment.fit()
    for phase in inner(experiment):
        raise FrisketError(f"{experiment.name} builds on the phase {phase.name}; --dry-run takes recipes of one phase")
    task, pipeline, source = build(experiment)
    state, training = pipeline.spec, experiment.training
    assert training is not None, "an experiment without a start trains"
    symbols = f", {state.vocabulary} symbols" if state.vocabulary else ""
    lines = [
        f"data        {source.info.size or 'endless'} items of {source.info.kind} {source.info.shape or ''}",
        f"state       {state.kind} {state.shape}{symbols}",
        f"training    {training.steps:,} steps of {training.batch} samples",
        training.dry_run(task, source).lines(),
    ]
    return "\n".join(lines)

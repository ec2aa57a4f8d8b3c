"""What a study measures of a trained pipeline, by name: `loss`, `bits`, a metric of its samples, or what a score gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from frisket.codecs.readers import ReadSource
from frisket.core.condition import Condition
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.registry import names
from frisket.core.step import Step
from frisket.data.base import Batch, Data, Info, Source
from frisket.evaluation.evaluate import evaluate, measure_named
from frisket.evaluation.features.base import Features
from frisket.evaluation.features.pixels import PixelFeatures
from frisket.evaluation.heldout import HeldoutLoss, heldout_loss
from frisket.evaluation.likelihood import likelihood
from frisket.evaluation.scores.base import PairedScore, score_measures, scores_for
from frisket.experiments.experiment import Experiment
from frisket.processes.base import built
from frisket.sampling.conditions import class_counts
from frisket.sampling.pipeline import Pipeline

OWN = ("loss", "bits")
OF_PIXELS = ("kid", "precision", "recall")
LEAST = 8  # real items


def check_measures(wanted: Sequence[str]) -> None:
    """Raise `FrisketError` with the nearest name on a measure that does not exist."""
    accepted = [*OWN, *(n.removeprefix("measure/") for n in names("measure")), *score_measures()]
    for name in wanted:
        if name not in accepted:
            raise unknown("measure", name, accepted)


def better_of(name: str) -> Literal["less", "more"]:
    """Which way a measure is better. Raises `FrisketError` on one that does not say."""
    check_measures([name])
    score = scores_for([name]).get(name)
    if name in OWN:
        return "less"
    way = getattr(score, "better", None) if score is not None else measure_named(name).better
    if way not in ("less", "more"):
        raise FrisketError(f"measure {name!r} does not say which way is better, so gains cannot be told from losses")
    return way


def check_measurable(experiment: Experiment, wanted: Sequence[str]) -> None:
    """Raise `FrisketError` on a measure that a fitted experiment does not have, before anything is trained."""
    check_measures(wanted)
    info = experiment.data.open("test").info
    scores = scores_for(wanted)
    for name in wanted:
        score = scores.get(name)
        if score is not None:
            paired = hasattr(score, "beside") and experiment.start is None
            check(not paired, f"measure {name!r} of {experiment.name}", "no start", "compared with a start")
            continue
        if name == "loss" and experiment.process is None:
            raise FrisketError(f"measure 'loss' needs a process; {experiment.name} has none")
        if name == "bits" and not hasattr(built(experiment.process), "nelbo"):
            raise FrisketError(f"measure 'bits' needs a process with a bound; {experiment.name}'s states none")
        if name not in OWN and info.kind != "image":
            raise FrisketError(f"measure {name!r} is of images; {experiment.name} makes {info.kind}")
        if name not in OWN:
            check(scorable(info), "items of the test split", info.size, f"at least {LEAST} to score samples against")


def take(
    pipeline: Pipeline, data: Data, wanted: Sequence[str], *, n: int = 500, seed: int = 0, start: Pipeline | None = None
) -> dict[str, float]:
    """Every measure of `wanted` on the test split. loss: held-out process loss on a fixed grid of (t, noise) of up to
    `n` items; bits: the bound in bits an element; what scores give; the rest: of `n` samples. Evaluation noise depends
    on `seed` only. start: what the pipeline was made of, for scores that compare with it."""
    check_measures(wanted)
    out: dict[str, float] = {}
    scores = scores_for(wanted)
    for score in dict.fromkeys(scores.values()):
        one = score()
        if not isinstance(one, PairedScore):
            found = one.take(pipeline, data, n, seed)
        elif start is None:
            raise FrisketError(f"measure {', '.join(one.gives)} compares with a start, and there is none")
        else:
            found = one.beside(pipeline, start, data, n, seed)
        out |= {name: value for name, value in found.items() if scores.get(name) is score}
    if "loss" in wanted:
        out["loss"] = held_out(pipeline, data, n, seed).mean.value
    if "bits" in wanted:
        out["bits"] = bound(pipeline, data, n, seed)["bits"]["value"]
    of_samples = [name for name in wanted if name not in (*OWN, *out)]
    if of_samples:
        scores = score_samples(pipeline, data, n=n, seed=seed, measures=of_samples)
        out |= {name: scores["metrics"][name]["value"] for name in of_samples}
    return {name: out[name] for name in wanted}


def held_out(pipeline: Pipeline, data: Data, n: int, seed: int = 0) -> HeldoutLoss:
    """The pipeline's loss on up to n test items, on a fixed grid of (t, noise)."""
    source = ReadSource(indexed(data), pipeline.readers)
    most = min(n, source.info.size or n)
    return heldout_loss(
        pipeline.model, pipeline.process, pipeline.coder, source, n=most, seed=seed, device=str(pipeline.device)
    )


def bound(pipeline: Pipeline, data: Data, n: int, seed: int = 0) -> dict[str, Any]:
    """The process's own bound on up to n test items, beside what symbol frequencies reach."""
    source, train = ReadSource(indexed(data), pipeline.readers), data.open("train")
    return likelihood(
        pipeline.model, pipeline.process, pipeline.coder, source, n=min(n, source.info.size or n), seed=seed,
        train=train if hasattr(train, "batch") else None,  # type: ignore[arg-type]
    )  # fmt: skip


def scorable(info: Info) -> bool:
    """Whether a test split is large enough to score samples against."""
    return info.size is None or info.size >= LEAST


def score_samples(
    pipeline: Pipeline, data: Data, *, n: int, seed: int = 0, measures: Sequence[str] | None = None,
    features: Features | None = None, batch: int = 64,
) -> dict[str, Any]:  # fmt: skip
    """`evaluate` on n samples: values, intervals, real-vs-real floors; all measures that fit, or those named.

    features: those of the default classifier of the set's classes if None; where there are no classes, plain pixels, of
    which only what needs no covariance of them is measured. Raises `FrisketError` if the test split is too small to say
    anything."""

    def generate(step: Step, cond: Condition | None) -> Tensor:
        values: dict[str, Any] = {} if cond is None else dict(cond.values)
        values |= read_conditions(pipeline, data, step.sample)
        return pipeline.sample(len(step.sample), seed=step.seed, first=int(step.sample[0]), **values)

    info = data.open("test").info
    check(scorable(info), "items of the test split", info.size, f"at least {LEAST} to score samples against")
    classes = len(info.classes)
    wanted = measures or (None if classes >= 2 else OF_PIXELS)
    chosen = None if wanted is None else [measure_named(name) for name in wanted]
    label = next(iter(class_counts(pipeline.model, pipeline.info)), None) if classes else None
    if classes < 2:
        features = PixelFeatures()  # without classes there is nothing to train a classifier on
    return evaluate(generate, data, n=n, seed=seed, measures=chosen, label=label, features=features, batch=batch)


def read_conditions(pipeline: Pipeline, data: Data, ids: Tensor) -> dict[str, Tensor]:
    """What the pipeline's readers make of the test items `ids` (taken in turn): the conditions of samples that are made
    in these items' place."""
    if not pipeline.readers:
        return {}
    source = indexed(data)
    batch = source.batch(ids.cpu() % (source.info.size or len(ids) + int(ids.max()) + 1))
    return {name: reader.of_batch(batch) for name, reader in pipeline.readers.items()}


def indexed(data: Data) -> Source:
    """The test split, which must have random access. Raises `FrisketError` on a stream."""
    source = data.open("test")
    if not hasattr(source, "batch"):
        raise FrisketError("this data set is a stream; measuring needs random access (save a test split as npz:FILE)")
    return source  # type: ignore[return-value]


def first_items(data: Data, n: int) -> Batch:
    """The first n items of the test split."""
    source = indexed(data)
    return source.batch(torch.arange(min(n, source.info.size or n)))

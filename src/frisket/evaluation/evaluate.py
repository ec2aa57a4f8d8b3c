"""Samples against data: every metric with its interval and, beside it, what real items score at the same n.

Reference: the test split. Floor: as many training items as there are samples, put through the same metric against the
same reference; a generator that only repeats the training set would score this, and a finite-sample bias is in both.
Where the training split is smaller than n the floor uses all of it, and `n_floor` says so. Scores from a classifier's
probabilities take the reference items themselves as their floor, since training items are what it was fitted to.
Shapes: n samples, m reference items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frisket.codecs.base import Codec
from frisket.core import random
from frisket.core.condition import Condition
from frisket.core.errors import check, unknown
from frisket.core.registry import lookup, names
from frisket.core.step import Step
from frisket.data.base import Batch, Data, Source, Stream
from frisket.evaluation.features.base import Extractor, Features, extract
from frisket.evaluation.features.classifier import Classifier
from frisket.evaluation.measures import Measure, measured, plain_value
from frisket.processes.base import Process

Generate = Callable[[Step, Condition | None], Tensor]
MOST_REAL = 10_000


def evaluate(
    generate: Generate, data: Data, *, n: int = 1000, seed: int = 0, features: Features | None = None,
    measures: Sequence[Measure] | None = None, label: str | None = None, batch: int = 64, resamples: int = 200,
    confidence: float = 0.95,
) -> dict[str, Any]:  # fmt: skip
    """Make `n` samples and score them; JSON data, see `score`.

    generate(step, cond): data (b, ...) for the rows of `step.sample`, as a codec decodes it. label: the name of the class
    condition of a conditional model; the classes asked for are those of the reference items in turn. The result
    depends neither on `batch` nor on what was drawn before. Raises `FrisketError` before any sample is made when a
    measure cannot be taken.
    """
    check(n >= 2, "n", n, "at least 2")
    check(batch >= 1, "batch", batch, "at least 1")
    parts = _chosen(measures, features, label)
    extractor = (features or Classifier()).build(data)
    _check_needs(parts, extractor, label)
    labels = None
    if label is not None:
        source = data.open("test")
        check(bool(source.info.classes), "label", label, "None: this data set has no classes")
        held = items(source, min(n, source.info.size or n))["label"]
        labels = held[torch.arange(n) % len(held)]
    made = []
    for i in range(0, n, batch):
        rows = torch.arange(i, min(i + batch, n))
        cond = None if label is None or labels is None else Condition.of(**{label: labels[rows]})
        made.append(generate(Step(seed=seed, sample=rows, run="evaluate"), cond).detach().cpu())
    return score(torch.cat(made), data, labels=labels, seed=seed, measures=parts, resamples=resamples,
                 confidence=confidence, extractor=extractor)  # fmt: skip


def score(
    x: Tensor, data: Data, *, labels: Tensor | None = None, seed: int = 0, features: Features | None = None,
    measures: Sequence[Measure] | None = None, resamples: int = 200, confidence: float = 0.95,
    extractor: Extractor | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score samples `x` (n, ...) that exist already.

    Returns {"n", "n_real", "n_floor", "seed", "confidence", "features", "feature_accuracy", "data", "metrics"};
    "metrics" maps each name to {"title", "value", "low", "high", "floor", "unit", "better"}. labels: int64 (n,), the
    class asked for in each row. extractor: one already built, instead of `features`.
    """
    parts = _chosen(measures, features, None if labels is None else "label")
    extractor = extractor or (features or Classifier()).build(data)
    _check_needs(parts, extractor, None if labels is None else "label")
    train, test = data.open("train"), data.open("test")
    reference = items(test, min(test.info.size or len(x), MOST_REAL))
    compared = items(train, min(train.info.size or len(x), len(x)), shuffle=seed)
    check(tuple(x.shape[1:]) == tuple(reference["x"].shape[1:]), "samples", tuple(x.shape[1:]),
          f"{tuple(reference['x'].shape[1:])}, as the data is")  # fmt: skip
    sample, real, floor = (extract(extractor, v) for v in (x, reference["x"], compared["x"]))
    asked = None if labels is None else labels.cpu().numpy()
    had = np.asarray(reference["label"]) if "label" in reference else None
    return {
        "n": len(x), "n_real": len(real.features), "n_floor": len(floor.features), "seed": seed,
        "confidence": confidence, "features": extractor.name,
        "feature_accuracy": getattr(extractor, "accuracy", None), "data": test.info.digest,
        "metrics": {
            _name(m): _entry(
                m, (sample, real, asked), (real if m.needs else floor, real, had), seed, resamples, confidence
            ) for m in parts
        },
    }  # fmt: skip


def generator(model: Any, process: Process, codec: Codec, sampler: Any, shape: tuple[int, ...]) -> Generate:
    """A `Generate` from a model and a sampler; shape: of one state, batch left out."""

    def generate(step: Step, cond: Condition | None) -> Tensor:
        return codec.decode(sampler.sample(model, process, shape=shape, step=step, cond=cond))

    return generate


def items(source: Source | Stream, n: int, shuffle: int | None = None) -> Batch:
    """The first n items of a source or stream, or n items of a source's order shuffled by the seed `shuffle`."""
    if not hasattr(source, "batch"):
        return source.read(n)  # type: ignore[union-attr]
    ids = torch.arange(n)
    if shuffle is not None and source.info.size:
        ids = random.permutation_of(ids, source.info.size, random.hash_text(f"evaluate {shuffle}"))
    return source.batch(ids)  # type: ignore[union-attr]


def _entry(measure: Measure, sample: tuple, floor: tuple, seed: int, resamples: int, confidence: float) -> dict:
    interval = measured(measure, *sample, seed=seed, resamples=resamples, confidence=confidence)
    possible = "labels" not in measure.needs or floor[2] is not None
    return {
        "title": measure.title, **interval.as_dict(), "floor": plain_value(measure, *floor) if possible else None,
        "unit": measure.unit, "better": measure.better,
    }  # fmt: skip


def _chosen(measures: Sequence[Measure] | None, features: Features | None, label: str | None) -> list[Measure]:
    """The given measures, or all that the extractor and the model allow."""
    if measures is not None:
        check(len(measures) > 0, "measures", (), "at least one")
        return list(measures)
    classifies = features is None or isinstance(features, Classifier)
    has = {"probabilities": classifies or "inception" in features.part_name, "labels": classifies and label is not None}  # type: ignore[union-attr]
    parts = [lookup(f"measure/{name}")() for name in ORDER]
    return [m for m in parts if all(has[need] for need in m.needs)]


ORDER = ("frechet", "kid", "precision", "recall", "inception_score", "class_accuracy")


def measure_named(name: str) -> Measure:
    """A measure by name with its defaults. Raises `FrisketError` with the nearest name."""
    if f"measure/{name}" not in names("measure"):
        raise unknown("measure", name, [m.removeprefix("measure/") for m in names("measure")])
    return lookup(f"measure/{name}")()


def _check_needs(measures: Sequence[Measure], extractor: Extractor, label: str | None) -> None:
    for m in measures:
        if "probabilities" in m.needs:
            check(extractor.classes > 0, "measures", m.title, f"others: {extractor.name} gives no class probabilities")
        if "labels" in m.needs:
            check(label is not None, "measures", m.title, "others: the model is not asked for classes")


def _name(measure: Measure) -> str:
    return measure.part_name.split("/", 1)[1]  # type: ignore[attr-defined]

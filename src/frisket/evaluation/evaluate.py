"""Samples against data: every metric with its interval and, beside it, what real items score at the same n.

Reference: the test split. Floor: as many training items as there are samples, put through the same metric against the
same reference; a generator that only repeats the training set would score this, and a finite-sample bias is in both.
Where the training split is smaller than n the floor uses all of it, and `n_floor` says so. Scores from a classifier's
probabilities take the reference items themselves as their floor, since training items are what it was fitted to.
Shapes: n samples, m reference items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from frisket.core import random
from frisket.core.errors import check, unknown
from frisket.core.registry import lookup, names
from frisket.data.base import Batch, Data, Source, Stream
from frisket.evaluation.features.base import Extractor, Features, extract
from frisket.evaluation.features.classifier import Classifier
from frisket.evaluation.metrics.parts import Metric, measured, plain_value

MOST_REAL = 10_000
ORDER = ("frechet", "kid", "precision", "recall", "inception_score", "class_accuracy")


class Samples(Protocol):
    """What `evaluate` needs of a pipeline: n new items (n, ...) in the data's range, conditions by name."""

    def sample(self, n: int, *, seed: int = 0, batch: int = 64, **conditions: Any) -> Any: ...


def evaluate(
    pipeline: Samples, data: Data, *, n: int = 1000, seed: int = 0, features: Features | None = None,
    metrics: Sequence[Metric] | None = None, label: str | None = None, batch: int = 64, resamples: int = 200,
    confidence: float = 0.95, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Make `n` samples and score them; JSON data, see `score`.

    label: the name of the class condition of a conditional model; the classes asked for are those of the reference
    items in turn. options: further ones for `pipeline.sample` (steps, guidance). The result does not depend on `batch`.
    Raises `FrisketError` before any sample is made when a metric cannot be taken.
    """
    check(n >= 2, "n", n, "at least 2")
    parts = _chosen(metrics, features, label is not None)
    extractor = (features or Classifier()).build(data)
    _check_needs(parts, extractor, label is not None)
    labels = None
    if label is not None:
        test = data.open("test")
        check(bool(test.info.classes), "label", label, "None: this data set has no classes")
        held = items(test, min(n, test.info.size or n))["label"]
        labels = held[torch.arange(n) % len(held)]
        options[label] = labels
    x = pipeline.sample(n, seed=seed, batch=batch, **options)
    check(isinstance(x, Tensor), "samples", type(x).__name__, "a tensor; texts are judged by likelihood")
    return score(x, data, labels=labels, seed=seed, metrics=parts, resamples=resamples, confidence=confidence,
                 extractor=extractor)  # fmt: skip


def score(
    x: Tensor, data: Data, *, labels: Tensor | None = None, seed: int = 0, features: Features | None = None,
    metrics: Sequence[Metric] | None = None, resamples: int = 200, confidence: float = 0.95,
    extractor: Extractor | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score samples `x` (n, ...) that exist already.

    Returns {"n", "n_real", "n_floor", "seed", "confidence", "features", "feature_accuracy", "data", "metrics"};
    "metrics" maps each name to {"title", "value", "low", "high", "floor", "unit", "better"}. labels: int64 (n,), the
    class asked for in each row. extractor: one already built, instead of `features`.
    """
    parts = _chosen(metrics, features, labels is not None)
    extractor = extractor or (features or Classifier()).build(data)
    _check_needs(parts, extractor, labels is not None)
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


def items(source: Source | Stream, n: int, shuffle: int | None = None) -> Batch:
    """The first n items of a source or stream, or n items of a source's order shuffled by the seed `shuffle`."""
    if not hasattr(source, "batch"):
        return source.read(n)  # type: ignore[union-attr]
    ids = torch.arange(n)
    if shuffle is not None and source.info.size:
        ids = random.permutation_of(ids, source.info.size, random.hash_text(f"evaluate {shuffle}"))
    return source.batch(ids)  # type: ignore[union-attr]


def _entry(metric: Metric, sample: tuple, floor: tuple, seed: int, resamples: int, confidence: float) -> dict:
    interval = measured(metric, *sample, seed=seed, resamples=resamples, confidence=confidence)
    possible = "labels" not in metric.needs or floor[2] is not None
    return {
        "title": metric.title, **interval.as_dict(), "floor": plain_value(metric, *floor) if possible else None,
        "unit": metric.unit, "better": metric.better,
    }  # fmt: skip


def _chosen(metrics: Sequence[Metric] | None, features: Features | None, labelled: bool) -> list[Metric]:
    """The given measures, or all that the extractor and the model allow."""
    if metrics is not None:
        check(len(metrics) > 0, "metrics", (), "at least one")
        return list(metrics)
    classifies = features is None or isinstance(features, Classifier)
    has = {"probabilities": classifies or "inception" in features.part_name, "labels": classifies and labelled}  # type: ignore[union-attr]
    parts = [lookup(f"metric/{name}")() for name in ORDER]
    return [m for m in parts if all(has[need] for need in m.needs)]


def metric_named(name: str) -> Metric:
    """A metric by name with its defaults. Raises `FrisketError` with the nearest name."""
    if f"metric/{name}" not in names("metric"):
        raise unknown("metric", name, [m.removeprefix("metric/") for m in names("metric")])
    return lookup(f"metric/{name}")()


def _check_needs(metrics: Sequence[Metric], extractor: Extractor, labelled: bool) -> None:
    for m in metrics:
        if "probabilities" in m.needs:
            check(extractor.classes > 0, "metrics", m.title, f"others: {extractor.name} gives no class probabilities")
        if "labels" in m.needs:
            check(labelled, "metrics", m.title, "others: the model is not asked for classes")


def _name(metric: Metric) -> str:
    return metric.part_name.split("/", 1)[1]  # type: ignore[attr-defined]

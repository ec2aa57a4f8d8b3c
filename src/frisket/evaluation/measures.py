"""Measures of a study: one number of a trained pipeline on held-out data.

The default of any denoiser or mask predictor is `loss`, its held-out process loss; the others score samples. Each uses
the study's seed for noise and samples, so that two arms of a seed differ in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.evaluate import evaluate
from frisket.evaluation.features.base import Features
from frisket.evaluation.features.classifier import Classifier
from frisket.evaluation.heldout import heldout_loss, reads
from frisket.evaluation.likelihood import likelihood
from frisket.evaluation.metrics.parts import (
    ClassAccuracy,
    Frechet,
    InceptionScore,
    Kid,
    Metric,
    Precision,
    Recall,
)  # fmt: skip

if TYPE_CHECKING:
    from frisket.sampling.pipeline import Pipeline

FEWEST = 20  # resamples: a study's interval comes from its seeds, not from here


@register("measure/loss")
@dataclass(frozen=True, kw_only=True)
class LossMeasure:
    """Mean held-out process loss over `items` test items and `times` times."""

    items: int = 256
    times: int = 16
    name = "loss"
    less = True

    def value(self, pipeline: Pipeline, data: Data, seed: int) -> float:
        source = _indexed(data)
        n = min(self.items, source.info.size or self.items)
        found = heldout_loss(pipeline.model, pipeline.process, pipeline.coder, source, n=n, times=self.times, seed=seed,
                             resamples=FEWEST, device=str(pipeline.device))  # fmt: skip
        return found.mean.value


@register("measure/bits")
@dataclass(frozen=True, kw_only=True)
class BitsMeasure:
    """Bits an element from the process's bound, over `items` test items and `draws` forwards each."""

    items: int = 256
    draws: int = 16
    name = "bits"
    less = True

    def value(self, pipeline: Pipeline, data: Data, seed: int) -> float:
        source = _indexed(data)
        n = min(self.items, source.info.size or self.items)
        found = likelihood(pipeline.model, pipeline.process, pipeline.coder, source, n=n, draws=self.draws, seed=seed,
                           resamples=FEWEST)  # fmt: skip
        return found["bits"]["value"]


@register("measure/frechet")
@dataclass(frozen=True, kw_only=True)
class FrechetMeasure:
    """Frechet distance of `n` samples to the test split."""

    n: int = 500
    features: Features = field(default_factory=Classifier)
    name = "frechet"
    less = True

    def value(self, pipeline: Pipeline, data: Data, seed: int) -> float:
        return _scored(Frechet(), self.features, self.n, pipeline, data, seed)


@register("measure/kid")
@dataclass(frozen=True, kw_only=True)
class KidMeasure:
    """Kernel distance of `n` samples to the test split."""

    n: int = 500
    features: Features = field(default_factory=Classifier)
    name = "kid"
    less = True

    def value(self, pipeline: Pipeline, data: Data, seed: int) -> float:
        return _scored(Kid(), self.features, self.n, pipeline, data, seed)


@register("measure/precision")
@dataclass(frozen=True, kw_only=True)
class PrecisionMeasure:
    """Share of `n` samples inside the manifold of the test split."""

    n: int = 500
    features: Features = field(default_factory=Classifier)
    name = "precision"
    less = False

    def value(self, pipeline: Pipeline, data: Data, seed: int) -> float:
        return _scored(Precision(), self.features, self.n, pipeline, data, seed)


@register("measure/recall")
@dataclass(frozen=True, kw_only=True)
class RecallMeasure:
    """Share of the test split inside the manifold of `n` samples."""

    n: int = 500
    features: Features = field(default_factory=Classifier)
    name = "recall"
    less = False

    def value(self, pipeline: Pipeline, data: Data, seed: int) -> float:
        return _scored(Recall(), self.features, self.n, pipeline, data, seed)


@register("measure/inception_score")
@dataclass(frozen=True, kw_only=True)
class InceptionScoreMeasure:
    """Inception-like score of `n` samples."""

    n: int = 500
    features: Features = field(default_factory=Classifier)
    name = "inception_score"
    less = False

    def value(self, pipeline: Pipeline, data: Data, seed: int) -> float:
        return _scored(InceptionScore(), self.features, self.n, pipeline, data, seed)


@register("measure/class_accuracy")
@dataclass(frozen=True, kw_only=True)
class ClassAccuracyMeasure:
    """Share of `n` samples that the classifier sees as the class asked for; the model must read `label`."""

    n: int = 500
    features: Features = field(default_factory=Classifier)
    name = "class_accuracy"
    less = False

    def value(self, pipeline: Pipeline, data: Data, seed: int) -> float:
        return _scored(ClassAccuracy(), self.features, self.n, pipeline, data, seed)


def _scored(metric: Metric, features: Features, n: int, pipeline: Pipeline, data: Data, seed: int) -> float:
    label = "label" if "label" in reads(pipeline.model) else None
    found = evaluate(pipeline, data, n=n, seed=seed, features=features, metrics=(metric,), label=label,
                     resamples=FEWEST)  # fmt: skip
    return next(iter(found["metrics"].values()))["value"]


def _indexed(data: Data) -> Any:
    source = data.open("test")
    check(hasattr(source, "batch"), "data", type(data).__name__, "a set with random access for this measure")
    return source

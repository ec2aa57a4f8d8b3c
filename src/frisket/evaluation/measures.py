"""The metrics as parts: what each needs, its unit, which way is better, and how it is resampled.

A measure turns (samples, reference, labels asked for) into a statistic of resampled indices, so that one bootstrap
serves all. Two-sample distances resample both sets; shares resample the judged samples against fixed manifolds, because
neighbours at distance zero would shrink a resampled manifold.
Shapes: n samples, m reference items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.evaluation.features.base import Extracted
from frisket.evaluation.intervals import Interval, bootstrap
from frisket.evaluation.metrics.frechet import frechet
from frisket.evaluation.metrics.kid import kernels, weighted_kid
from frisket.evaluation.metrics.precision_recall import inside
from frisket.evaluation.metrics.scores import hits, inception_score

Statistic = Callable[..., float]
FRECHET = "Heusel et al. GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium. 2017. "
FRECHET += "arXiv:1706.08500"
KERNEL = "Binkowski et al. Demystifying MMD GANs. 2018. arXiv:1801.01401"
MANIFOLDS = "Kynkaanniemi et al. Improved Precision and Recall Metric for Assessing Generative Models. 2019. "
MANIFOLDS += "arXiv:1904.06991"
SCORE = "Salimans et al. Improved Techniques for Training GANs. 2016. arXiv:1606.03498"


@runtime_checkable
class Measure(Protocol):
    """A registered value ("measure/..."). better: "less" or "more". range: what the value can be. needs:
    "probabilities" and "labels" where it cannot do without."""

    @property
    def title(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def better(self) -> str: ...

    @property
    def range(self) -> tuple[float, float]: ...

    @property
    def needs(self) -> tuple[str, ...]: ...

    def statistic(
        self, sample: Extracted, real: Extracted, labels: np.ndarray | None
    ) -> tuple[Statistic, tuple[int, ...]]:
        """A function of index arrays and how long each of them is."""
        ...


@register("measure/frechet", cite=FRECHET)
@dataclass(frozen=True, kw_only=True)
class Frechet:
    title = "Frechet distance"
    unit = "squared feature units"
    better = "less"
    range = (0.0, np.inf)
    needs = ()

    def statistic(self, sample: Extracted, real: Extracted, labels: np.ndarray | None):
        a, b = sample.features, real.features
        return (lambda i, j: frechet(a[i], b[j])), (len(a), len(b))


@register("measure/kid", cite=KERNEL)
@dataclass(frozen=True, kw_only=True)
class Kid:
    title = "Kernel distance (KID)"
    unit = "squared discrepancy"
    better = "less"
    range = (-np.inf, np.inf)
    needs = ()

    def statistic(self, sample: Extracted, real: Extracted, labels: np.ndarray | None):
        matrices, n, m = kernels(sample.features, real.features), len(sample.features), len(real.features)
        return (lambda i, j: weighted_kid(matrices, np.bincount(i, minlength=n), np.bincount(j, minlength=m))), (n, m)


@register("measure/precision", cite=MANIFOLDS)
@dataclass(frozen=True, kw_only=True)
class Precision:
    neighbours: int = 3
    title = "Precision"
    unit = "share of samples"
    better = "more"
    range = (0.0, 1.0)
    needs = ()

    def statistic(self, sample: Extracted, real: Extracted, labels: np.ndarray | None):
        return _share(inside(sample.features, real.features, self.neighbours))


@register("measure/recall", cite=MANIFOLDS)
@dataclass(frozen=True, kw_only=True)
class Recall:
    neighbours: int = 3
    title = "Recall"
    unit = "share of real items"
    better = "more"
    range = (0.0, 1.0)
    needs = ()

    def statistic(self, sample: Extracted, real: Extracted, labels: np.ndarray | None):
        return _share(inside(real.features, sample.features, self.neighbours))


@register("measure/inception_score", cite=SCORE)
@dataclass(frozen=True, kw_only=True)
class InceptionScore:
    title = "Inception-like score"
    unit = "effective classes"
    better = "more"
    range = (1.0, np.inf)
    needs = ("probabilities",)

    def statistic(self, sample: Extracted, real: Extracted, labels: np.ndarray | None):
        p = _given(sample.probabilities, self.title, "probabilities")
        return (lambda i: inception_score(p[i])), (len(p),)


@register("measure/class_accuracy")
@dataclass(frozen=True, kw_only=True)
class ClassAccuracy:
    title = "Class accuracy"
    unit = "share of samples"
    better = "more"
    range = (0.0, 1.0)
    needs = ("probabilities", "labels")

    def statistic(self, sample: Extracted, real: Extracted, labels: np.ndarray | None):
        p = _given(sample.probabilities, self.title, "probabilities")
        return _share(hits(p, _given(labels, self.title, "labels")))


def measured(
    measure: Measure, sample: Extracted, real: Extracted, labels: np.ndarray | None = None, *, seed: int = 0,
    resamples: int = 200, confidence: float = 0.95,
) -> Interval:  # fmt: skip
    """The value of `measure` with its bootstrap interval; a share keeps to [0, 1], a distance to >= 0."""
    statistic, sizes = measure.statistic(sample, real, labels)
    low, high = measure.range
    return bootstrap(statistic, sizes, seed=seed, resamples=resamples, confidence=confidence, low=low, high=high)


def plain_value(measure: Measure, sample: Extracted, real: Extracted, labels: np.ndarray | None = None) -> float:
    """The value alone."""
    statistic, sizes = measure.statistic(sample, real, labels)
    return float(statistic(*(np.arange(n) for n in sizes)))


def _share(which: np.ndarray):
    return (lambda i: float(which[i].mean())), (len(which),)


def _given(value: np.ndarray | None, title: str, what: str) -> np.ndarray:
    if value is None:
        raise FrisketError(f"{title} needs {what}, and there are none")
    return value

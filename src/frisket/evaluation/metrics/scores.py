"""Scores from a classifier's probabilities: inception-like score and class accuracy.

Inception score: Salimans et al. 2016, arXiv 1606.03498, exp(mean KL(p(y|x) | p(y))), here with any classifier and over
all samples at once (the paper averages over ten splits, which only lowers it). It lies in [1, k]: sure about each
image, even over the classes.
Shapes: n samples, k classes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from frisket.core.errors import check


def inception_score(probabilities: Float[np.ndarray, "n k"]) -> float:
    """In [1, k], higher is better. Raises `FrisketError` unless each row is a distribution."""
    p = np.asarray(probabilities, dtype=np.float64)
    fits = p.ndim == 2 and len(p) > 0 and bool((p >= 0).all()) and np.allclose(p.sum(axis=1), 1.0, atol=1e-4)
    check(fits, "probabilities", p.shape, "(n, k) with rows >= 0 that sum to 1")
    marginal = np.broadcast_to(p.mean(axis=0), p.shape)
    seen = p > 0
    ratio = np.divide(p, marginal, out=np.ones_like(p), where=seen)
    return float(np.exp((p * np.log(ratio, out=np.zeros_like(p), where=seen)).sum(axis=1).mean()))


def class_accuracy(probabilities: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> float:
    """Share of samples whose most probable class is the one asked for, in [0, 1]."""
    return float(hits(probabilities, labels).mean())


def hits(probabilities: Float[np.ndarray, "n k"], labels: Int[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Per sample: is the most probable class the one asked for? Raises `FrisketError` on labels outside [0, k)."""
    check(len(labels) == len(probabilities) > 0, "labels", len(labels), f"{len(probabilities)}, one a sample")
    known = bool((labels >= 0).all()) and bool((labels < probabilities.shape[1]).all())
    check(known, "labels", (int(labels.min()), int(labels.max())), f"in 0..{probabilities.shape[1] - 1}")
    return probabilities.argmax(axis=1) == labels

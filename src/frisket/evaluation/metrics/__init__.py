"""Distances and scores on feature arrays."""

from frisket.evaluation.metrics.frechet import frechet, frechet_of_gaussians
from frisket.evaluation.metrics.kid import kid
from frisket.evaluation.metrics.precision_recall import inside, precision_recall
from frisket.evaluation.metrics.scores import class_accuracy, inception_score

__all__ = [
    "class_accuracy", "frechet", "frechet_of_gaussians", "inception_score", "inside", "kid", "precision_recall",
]  # fmt: skip

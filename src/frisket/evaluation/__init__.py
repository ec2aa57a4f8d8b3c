"""Scores outputs: metrics with intervals and floors, comparisons, reports."""

from frisket.evaluation.compare import Comparison, Expectation, compare, less, more, same
from frisket.evaluation.evaluate import evaluate, generator, score
from frisket.evaluation.heldout import HeldoutLoss, heldout_loss
from frisket.evaluation.intervals import Difference, Interval, bootstrap, paired, verdict
from frisket.evaluation.likelihood import likelihood
from frisket.evaluation.report import Report, Section, Table, write_report

__all__ = [
    "Comparison", "Difference", "Expectation", "HeldoutLoss", "Interval", "Report", "Section", "Table", "bootstrap",
    "compare", "evaluate", "generator", "heldout_loss", "less", "likelihood", "more", "paired", "same", "score",
    "verdict", "write_report",
]  # fmt: skip

"""What is done to a started pipeline before it trains: edits, pruning, calibration, a policy fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from frisket.data.base import Data
from frisket.sampling.pipeline import Pipeline


@runtime_checkable
class Preparation(Protocol):
    """A registered value ("prepare/..."). It must be a function of its arguments alone: a run that goes on prepares
    anew."""

    def apply(self, pipeline: Pipeline, data: Data, needs: Mapping[str, Pipeline], seed: int) -> Pipeline:
        """The pipeline, changed; what is changed must be what `Pipeline.save_pretrained` saves (a model's edits and
        weights, the sampler, the process). needs: the experiment's further pipelines."""
        ...

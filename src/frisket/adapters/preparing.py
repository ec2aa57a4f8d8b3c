"""Edits as what an experiment does to its start before it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from frisket.core.edits import Edit, apply_edits
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.sampling.pipeline import Pipeline


@register("prepare/edits")
@dataclass(frozen=True, kw_only=True)
class ApplyEdits:
    """edits: applied in order to the pipeline's model."""

    edits: tuple[Edit, ...] = ()

    def apply(self, pipeline: Pipeline, data: Data, needs: Mapping[str, Pipeline], seed: int) -> Pipeline:
        """The same pipeline; its model is changed in place."""
        apply_edits(pipeline.model, self.edits)
        return pipeline

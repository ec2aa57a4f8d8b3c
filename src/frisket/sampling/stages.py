"""Stages: a pipeline whose samples are a condition of another's, so that both are one pipeline.

A super-resolution model reads a smaller version of the image that its readers make of the data while training; when
nobody gives one, the stage before makes it (Muse, arXiv 2301.00704, section 2.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from frisket.core.errors import check, unknown
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.sampling.pipeline import Pipeline


@register("prepare/stage")
@dataclass(frozen=True, kw_only=True)
class Stage:
    """Puts the pipeline that an experiment needs under the name `need` before its own. condition: what it makes."""

    condition: str = "low"
    need: str = "base"

    def apply(self, pipeline: Pipeline, data: Data, needs: Mapping[str, Pipeline], seed: int) -> Pipeline:
        """The pipeline, with the stage. Raises `FrisketError` on a need that is not there, and on a condition that has
        no reader, which would not know what to make of the stage's samples."""
        if self.need not in needs:
            raise unknown("need", self.need, needs)
        check(self.condition in pipeline.readers, "prepare.condition", self.condition, "a condition with a reader")
        pipeline.stages[self.condition] = needs[self.need]
        return pipeline

"""What a look is: it makes sections of a report from a trained pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from frisket.data.base import Data
from frisket.evaluation.report import Section
from frisket.sampling.pipeline import Pipeline


@runtime_checkable
class Look(Protocol):
    """A registered value ("look/...")."""

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        """Sections in reading order, and the numbers behind them for report.json. n: how many samples to score; folder:
        the run's, for tensors worth keeping."""
        ...

"""Measures: one number of a trained pipeline on held-out data. What a study compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from frisket.core.registry import register
from frisket.data.base import Data

if TYPE_CHECKING:
    from frisket.sampling.pipeline import Pipeline


class Measure(Protocol):
    """A registered value ("measure/..."). name: its column in tables; less: True when less is better."""

    @property
    def name(self) -> str: ...

    @property
    def less(self) -> bool: ...

    def value(self, pipeline: Pipeline, data: Data, seed: int) -> float: ...

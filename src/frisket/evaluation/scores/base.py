"""What a score is: numbers of a trained pipeline that a study measures, by the names that it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from frisket.core.registry import lookup, names
from frisket.data.base import Data
from frisket.sampling.pipeline import Pipeline


@runtime_checkable
class Score(Protocol):
    """A registered value ("score/...") whose fields all have defaults. gives: the measures it computes."""

    gives: ClassVar[tuple[str, ...]]

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """A number for every name of `gives`, on n items of the test split or n samples; random numbers from `seed`."""
        ...


@runtime_checkable
class PairedScore(Protocol):
    """A registered value ("score/...") as above that compares a pipeline with the one it was made of."""

    gives: ClassVar[tuple[str, ...]]

    def beside(self, pipeline: Pipeline, start: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """As `Score.take`; start: what the experiment began from."""
        ...


def score_of(measure: str) -> type[Score] | type[PairedScore] | None:
    """The registered score that gives a measure, or None."""
    return next((cls for cls in map(lookup, names("score")) if measure in cls.gives), None)  # type: ignore[attr-defined]


def scores_for(measures: Sequence[str]) -> dict[str, type[Score] | type[PairedScore]]:
    """The score of each measure that some score gives. What several give ("forwards") comes from the one that another
    measure needs, so that both are of the same samples; else from the first by name."""
    givers = {m: [cls for cls in map(lookup, names("score")) if m in cls.gives] for m in measures}  # type: ignore[attr-defined]
    needed = {found[0] for found in givers.values() if len(found) == 1}
    return {m: next((cls for cls in found if cls in needed), found[0]) for m, found in givers.items() if found}


def score_measures() -> list[str]:
    """Every measure that some score gives."""
    return [given for name in names("score") for given in lookup(name).gives]  # type: ignore[attr-defined]

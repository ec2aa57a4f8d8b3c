"""Problems being solved: boards that fill in move by move under several samplers, and solved against forwards."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from frisket.core.registry import register
from frisket.data.base import Data
from frisket.data.sudoku_solver import EMPTY
from frisket.evaluation.plots import Line, chart
from frisket.evaluation.report import Section, Table
from frisket.evaluation.reveals import boards
from frisket.evaluation.scores.solved import problems, solve
from frisket.processes.known import Known
from frisket.sampling.hiding import hidden_of
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler

COLUMNS = 6


@register("look/solving")
@dataclass(frozen=True, kw_only=True)
class Solving:
    """films: samplers by name, whose way through one held-out puzzle is shown. curves: by name, samplers of which each
    is a point of solved puzzles against forwards. puzzle: which held-out one is shown. most: puzzles a point takes."""

    films: dict[str, Sampler]
    curves: dict[str, tuple[Sampler, ...]] = field(default_factory=dict)
    puzzle: int = 0
    most: int = 200

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        sections = [self._film(pipeline, data)]
        points = {
            name: [_point(with_sampler(pipeline, sampler), data, min(n, self.most)) for sampler in samplers]
            for name, samplers in self.curves.items()
        }
        if points:
            sections.append(_curves(points, min(n, self.most)))
        return sections, {"solving": points}

    def _film(self, pipeline: Pipeline, data: Data) -> Section:
        _, batch = problems(data, self.puzzle + 1)
        state = pipeline.coder.encode(batch["x"][self.puzzle :])
        known = Known(values=state, where=batch["known"][self.puzzle :])
        rows = []
        for name, sampler in self.films.items():
            states = _way(with_sampler(pipeline, sampler), known)
            rows.append((f"{name} ({len(states) - 1})", _spread(states)))
        figure = boards(
            rows, known.where[0].tolist(), state[0].tolist(),
            caption="One held-out puzzle, from its clues to the last cell; beside each name the number of forwards. Found "
            "cells are coloured, wrong ones struck through.",
        )  # fmt: skip
        return Section(title="A puzzle being solved", figures=(figure,))


def with_sampler(pipeline: Pipeline, sampler: Sampler) -> Pipeline:
    """The same pipeline, sampled in another way."""
    other = copy.copy(pipeline)
    other.sampler = sampler
    return other


def _way(pipeline: Pipeline, known: Known) -> list[list[int]]:
    """The distinct states of a run, hidden cells as EMPTY."""
    out: list[list[int]] = []
    for shot in pipeline.snapshots(1, known=known):
        cells = _shown(pipeline, known.impose(shot.x))
        if not out or cells != out[-1]:
            out.append(cells)
    return out


def _shown(pipeline: Pipeline, x: Tensor) -> list[int]:
    return x.masked_fill(hidden_of(pipeline.process, x), EMPTY)[0].tolist()


def _spread(states: Sequence[list[int]]) -> list[list[int]]:
    """Up to COLUMNS of them, the first and the last included."""
    if len(states) <= COLUMNS:
        return list(states)
    return [states[round(k * (len(states) - 1) / (COLUMNS - 1))] for k in range(COLUMNS)]


def _point(pipeline: Pipeline, data: Data, n: int) -> dict[str, float]:
    found = solve(pipeline, data, n, 0)
    return {
        "forwards": float(found.forwards.double().mean()),
        "solved": float(found.right.double().mean()),
        "earned": float(found.earned().double().mean()),
    }


def _curves(points: dict[str, list[dict[str, float]]], n: int) -> Section:
    lines, rows = [], []
    for name, found in points.items():
        ordered = sorted(found, key=lambda p: p["forwards"])
        lines.append(Line(name=name, x=[p["forwards"] for p in ordered], y=[p["solved"] for p in ordered]))
        rows += [(name, f"{p['forwards']:.2f}", f"{p['solved']:.3f}", f"{p['earned']:.3f}") for p in ordered]
    figure = chart(lines, x_label="forwards a puzzle", y_label="solved", caption=f"{n} held-out puzzles a point.")
    table = Table(columns=("sampler", "forwards", "solved", "earned"), rows=tuple(rows), right=(1, 2, 3))
    return Section(title="Solved against forwards", figures=(figure,), table=table)

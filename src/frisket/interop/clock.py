"""Steps of a run that nobody announces: found from the times that a foreign model is called with.

A time other than the last begins a step; the same time again is another call of the step (a guidance branch that runs
by itself, a solver's second look). A time that turns back begins a run, and so does a scheduler that was set anew. With
the scheduler, step numbers and totals are exact; without it the total is unknown (0). Left as they are: a run that was
broken off and is followed, without a scheduler to tell, by one that begins at a later time goes on as the same run.
Shapes: b rows; the time is a number, (b,), or one a token.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import torch
from torch import Tensor

from frisket.core.step import Step

MOST_CALLS = 16  # of one step; then the same time is taken for another run of one step
RUNS = count()


class Clock:
    """Turns times into steps. scheduler: what sets the times, if it is known; its `timesteps` are read."""

    def __init__(self, scheduler: Any = None):
        self.scheduler = scheduler
        self.name, self.index, self.call = "", 0, 0
        self.last: float | None = None
        self.direction = 0
        self.set: Any = None

    def step(self, time: Tensor | float, rows: int) -> Step:
        """The step of a forward of `rows` rows at `time`."""
        value = float(torch.as_tensor(time).max())
        times = getattr(self.scheduler, "timesteps", None)
        if self.last is None or times is not self.set or self._turned(value):
            self._begin(value, times)
        elif value == self.last:
            self.call += 1
        else:
            self.direction = 1 if value > self.last else -1
            self.index, self.call = self.index + 1, 0
        self.last = value
        return Step(
            seed=0, sample=torch.arange(rows), index=self.index, total=len(_distinct(times)), call=self.call,
            run=self.name,
        )  # fmt: skip

    def _turned(self, value: float) -> bool:
        assert self.last is not None
        if value == self.last:
            return self.call + 1 >= MOST_CALLS
        return self.direction * (value - self.last) < 0

    def _begin(self, value: float, times: Any) -> None:
        self.name, self.call, self.direction, self.set = f"foreign {next(RUNS)}", 0, 0, times
        known = _distinct(times)
        near = [i for i, t in enumerate(known) if min(abs(t - value), abs(t - 1000 * value)) <= 1e-3 * max(1.0, t)]
        self.index = near[0] if near else 0  # a run may begin in the middle (image to image)


def _distinct(times: Any) -> list[float]:
    """The times of a scheduler, repeated ones (two-look solvers) once."""
    values = [] if times is None else [float(t) for t in times]
    return [t for i, t in enumerate(values) if i == 0 or t != values[i - 1]]

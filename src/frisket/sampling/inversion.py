"""Inversion: the noise that a deterministic sampler turns into a given state, and the way there.

DDIM inversion (arXiv 2010.02502, 2105.05233) is the solver `ddim` led up the grid; any solver that says `reversible`
goes the same way, DPM-Solver++ 2M with a history of its own (DiT4Edit, arXiv 2411.03286). `Replay` plays a trajectory
back: with it the source stream of an edit is exactly what was inverted, whatever the solver's error ("direct
inversion").
Shapes: b batch, `*s` the state's shape, k times.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.sampling.base import Moment, Snapshot, Start


@dataclass(frozen=True, eq=False, kw_only=True)
class Trajectory:
    """states (k, b, *s) at the times, from 0 up."""

    times: tuple[float, ...]
    states: Float[Tensor, "k b ..."]

    @classmethod
    def of(cls, snapshots: Iterable[Snapshot]) -> Trajectory:
        """All of a run's snapshots, in the order of their times."""
        held = sorted(snapshots, key=lambda s: s.t)
        return cls(times=tuple(s.t for s in held), states=torch.stack([s.x for s in held]))

    @property
    def start(self) -> Start:
        """The highest state, to be sampled down from."""
        return Start(x=self.states[-1], t=self.times[-1])

    def at(self, t: float) -> Float[Tensor, "b ..."]:
        """The state at a time of the trajectory. Raises `FrisketError` on any other."""
        for time, state in zip(self.times, self.states, strict=True):
            if abs(time - t) < 1e-9:
                return state
        raise FrisketError(f"the trajectory has no state at t = {t:g}; sample on the grid that it was made on")


@dataclass(frozen=True, eq=False, kw_only=True)
class Replay:
    """A correction that overwrites the state by the trajectory's where `where` (b, *s) is True. A value of one run: it
    is not registered and cannot be saved."""

    takes_known: ClassVar[bool] = False
    trajectory: Trajectory
    where: Bool[Tensor, "b ..."]

    def before(self, x: Tensor, t: Tensor, at: Moment) -> Tensor:
        return self._over(x, t)

    def after(self, x: Tensor, s: Tensor, at: Moment) -> Tensor:
        return self._over(x, s)

    def _over(self, x: Tensor, t: Tensor) -> Tensor:
        return self.trajectory.at(float(t[0])).to(x.dtype).where(self.where, x)

"""Means of what a run logs, kept on the device between two records and carried through a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from frisket.training.parallel import World


class Meters:
    """Sums in float64 by name, and over how many steps each name was seen."""

    def __init__(self):
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add this process's part of a number; the parts of all processes and micro-batches of a step sum to it."""
        value = value.detach().double().reshape(())
        self.sums[name] = self.sums[name] + value if name in self.sums else value

    def step(self) -> None:
        """A step is complete: every name added since the first is counted once more."""
        for name in self.sums:
            self.counts[name] = self.counts.get(name, 0) + 1

    def totals(self, here: World) -> dict[str, float]:
        """The sums over all processes (a collective call)."""
        if not self.sums:
            return {}
        names = sorted(self.sums)
        total = here.sum(torch.stack([self.sums[n] for n in names]))
        return dict(zip(names, total.tolist(), strict=True))

    def means(self, here: World) -> dict[str, float]:
        """Means over the steps since the last call; then everything starts from nothing."""
        out = {name: total / self.counts[name] for name, total in self.totals(here).items()}
        self.sums, self.counts = {}, {}
        return out

    def state(self, here: World) -> dict[str, Any]:
        return {"sums": self.totals(here), "counts": dict(self.counts)}

    def load(self, state: Mapping[str, Any], here: World) -> None:
        """Rank 0 takes the sums, the others zeros, so that their total is what was saved."""
        keep = 1.0 if here.first else 0.0
        made = {n: torch.tensor(v * keep, dtype=torch.float64, device=here.device) for n, v in state["sums"].items()}
        self.sums, self.counts = made, dict(state["counts"])

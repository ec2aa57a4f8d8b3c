"""How an objective's weight moves over training.

`Decades` is SRA's (arXiv 2505.02831; facts from vvvvvjdy/SRA SiT-SRA/train.py): flat, then falling tenfold every so many
epochs, in steps of whole epochs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from frisket.core.errors import check
from frisket.core.registry import register


@runtime_checkable
class Ramp(Protocol):
    """A registered value ("ramp/..."), as learning rates have them."""

    def factor(self, step: int, steps: int) -> float:
        """The factor of update `step` (0 .. steps - 1) in a run of `steps`."""
        ...


@register("ramp/decades")
@dataclass(frozen=True, kw_only=True)
class Decades:
    """1 up to and with epoch `flat`, then 0.1 ** ((epoch - flat) / decade). epoch: its updates; epochs count from 0."""

    flat: int = 149
    decade: int = 1000
    epoch: int = 5004

    def __post_init__(self):
        check(self.flat >= 0, "ramp.flat", self.flat, "0 epochs or more")
        check(self.decade >= 1, "ramp.decade", self.decade, "1 epoch or more")
        check(self.epoch >= 1, "ramp.epoch", self.epoch, "1 update or more")

    def factor(self, step: int, steps: int) -> float:
        return 0.1 ** (max(0, step // self.epoch - self.flat) / self.decade)

"""Stops a run whose loss or gradient is no longer a number, before a checkpoint is written from it.

The step is noted on the device, without waiting for it, and looked at when numbers are logged or saved anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from frisket.core.errors import FrisketError

SHOWN = 64


class Diverged(FrisketError):
    """The loss or the gradient became NaN or infinite."""


class Guard:
    """Remembers the first step with a value that is not finite."""

    def __init__(self, device: torch.device):
        self.first = torch.full((), -1, dtype=torch.int64, device=device)

    def watch(self, step: int, *values: Tensor) -> None:
        """Note `step` if any value (scalars) is NaN or infinite; no transfer from the device."""
        bad = ~torch.stack([torch.isfinite(v.detach()).all() for v in values]).all()
        self.first = torch.where((self.first < 0) & bad, torch.full_like(self.first, step), self.first)

    def verdict(self) -> Tensor:
        """The first bad step, -1 if none, to be agreed on between processes."""
        return self.first


def stop(step: int, samples: tuple[int, int], items: Sequence[int], good: Path | None) -> Diverged:
    """The error for a bad `step` (counted from 1) that used the samples [first, end) and the checkpoint before it.
    items: which ones of the set these were, () where the set cannot say."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    which = f" (items {', '.join(map(str, items[:SHOWN]))}{more} of the training set)" if items else ""
    back = f"the last good checkpoint is {good}" if good else "there is no checkpoint yet"
    return Diverged(
        f"loss or gradient is not finite at step {step}, whose batch held samples {samples[0]}..{samples[1] - 1}{which}; "
        f"{back}. Nothing was saved since. A lower learning rate, a longer warm-up or clipping usually helps"
    )

"""Differentiating through a whole run in the memory of one step: forwards are computed again on the way back.

`Sampler.run(grad=True)` keeps the graph of all its moves. With this handler on the site `model` only the states between
moves are kept; each forward is repeated when its gradient is asked for (arXiv 2412.02852 checkpoints its sampler by
hand to the same end). The repeated call has the step of the first one in force, so whatever it draws comes back equal.
"""

from __future__ import annotations

from typing import Any

from torch.utils.checkpoint import checkpoint

from frisket.core.sites import Handler
from frisket.core.step import Step, use_step


def recomputed() -> dict[str, Handler]:
    """Handlers to install on a model while a run with `grad=True` lasts; values and gradients stay the same."""
    return {"model": _recompute}


def _recompute(call: Any, args: tuple[Any, ...], step: Step) -> Any:
    def again(*inner: Any) -> Any:
        with use_step(step):
            return call(*inner)

    return checkpoint(again, *args, use_reentrant=False, preserve_rng_state=False)

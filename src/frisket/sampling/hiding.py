"""What decoders ask of a masked process: what is hidden, what share of the ids is hidden at t, and to hide some.

Shapes: b batch, `*grid` the ids' own shape.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import FrisketError


def _masked(process: Any) -> Any:
    if not hasattr(process, "hide"):
        raise FrisketError(f"{type(process).__name__} hides nothing; sample it with a solver, not a decoder")
    return process


def hidden_of(process: Any, x: Tensor) -> Bool[Tensor, "b *grid"]:
    """True where x hides its id."""
    return x == _masked(process).mask_id


def hidden_share(process: Any, t: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
    """The chance that an id is hidden at t."""
    if not hasattr(_masked(process), "schedule"):
        raise FrisketError(f"{type(process).__name__} hides every symbol by its own schedule; use decoder/outcomes")
    return process.schedule.hidden(t)


def hide(process: Any, x: Tensor, where: Bool[Tensor, "b *grid"]) -> Tensor:
    """x with the ids at `where` hidden."""
    return _masked(process).hide(x, where)

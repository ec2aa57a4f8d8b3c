"""What the checks share: a claim that names its part, states to try, and numbers that do not come from a generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.step import Step

STEP = Step(seed=11, sample=torch.tensor([4, 0, 9, 2]))


def name_of(part: object) -> str:
    """The registered name, else the class."""
    return getattr(part, "part_name", None) or type(part).__name__


def claim(holds: Any, part: object, promise: str) -> None:
    """Raise an AssertionError naming `part` and the `promise` it breaks, unless it `holds`."""
    if not bool(holds):
        raise AssertionError(f"{name_of(part)}: {promise}")


def same(a: Tensor, b: Tensor, tolerance: float = 0.0) -> bool:
    """Equal shapes and values, bit for bit or to an absolute and relative `tolerance`."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a, b) if tolerance == 0 else torch.allclose(a, b, rtol=tolerance, atol=tolerance)


def refuses(part: object, promise: str, call: Callable[[], object]) -> None:
    """Claim that `call` raises a `FrisketError` (or, where shapes are checked, a complaint of jaxtyping's)."""
    try:
        call()
    except (FrisketError, TypeCheckError):
        return
    claim(False, part, promise)


def example_state(shape: tuple[int, ...], vocabulary: int | None = None, step: Step = STEP) -> Tensor:
    """A state of `shape` for each row: float32 standard normal, or ids below `vocabulary`."""
    if vocabulary is None:
        return step.draw("testing/state", shape).to(torch.float32)
    return (step.draw("testing/state", shape, "uniform") * vocabulary).long()


def example_values(purpose: str, shape: tuple[int, ...], step: Step = STEP) -> Tensor:
    """float32 normal numbers for each row, drawn for `purpose`."""
    return step.draw(f"testing/{purpose}", shape).to(torch.float32)


def finite(x: Tensor) -> bool:
    return bool(torch.isfinite(x).all())


def untouched_generator(part: object, call: Callable[[], Any]) -> Any:
    """The result of `call`, claimed not to move torch's global generator."""
    before = torch.get_rng_state()
    out = call()
    claim(torch.equal(before, torch.get_rng_state()), part, "draws from the global generator; draw from Step instead")
    return out

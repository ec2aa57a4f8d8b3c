"""Whole numbers as digits in a base, the most significant first.

Shapes: l digits.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor


def base_of(symbols: int, count: int) -> int:
    """The smallest base, at least 2, whose `count` digits can spell `symbols` numbers."""
    base = max(2, round(symbols ** (1 / count)) - 1)
    while base**count < symbols:
        base += 1
    return base


def digits_of(numbers: Int[Tensor, "..."], base: int, count: int) -> Int[Tensor, "... l"]:
    """`count` digits of each number."""
    return numbers[..., None] // _powers(base, count, numbers) % base


def number_of(digits: Int[Tensor, "... l"], base: int) -> Int[Tensor, "..."]:
    """The inverse of `digits_of`."""
    return (digits * _powers(base, digits.shape[-1], digits)).sum(-1)


def _powers(base: int, count: int, like: Tensor) -> Int[Tensor, "l"]:
    return base ** torch.arange(count - 1, -1, -1, device=like.device)

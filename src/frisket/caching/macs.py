"""Counting the multiply-adds of what runs, without changing how it runs.

Matrix products, convolutions and attention are recognised where torch's functions are called, so the numbers that are
computed stay bit for bit those of an uncounted call (a counter below the dispatcher may decompose operations).
Shapes: as each function's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class MacCounter(TorchFunctionMode):
    """`with MacCounter() as counter:` adds up in `counter.total`."""

    def __init__(self):
        super().__init__()
        self.total = 0.0

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None):
        out = func(*args, **(kwargs or {}))
        count = COUNTS.get(func)
        if count is not None and isinstance(out, Tensor):
            self.total += count(args, kwargs or {}, out)
        return out


def _operand(args: tuple, kwargs: dict[str, Any], place: int, name: str) -> Tensor:
    return args[place] if len(args) > place else kwargs[name]


def _linear(args: tuple, kwargs: dict[str, Any], out: Tensor) -> float:
    return out.numel() * _operand(args, kwargs, 1, "weight").shape[-1]


def _product(args: tuple, kwargs: dict[str, Any], out: Tensor) -> float:
    return out.numel() * args[0].shape[-1]


def _product_added(args: tuple, kwargs: dict[str, Any], out: Tensor) -> float:
    return out.numel() * _operand(args, kwargs, 1, "mat1").shape[-1]


def _convolution(args: tuple, kwargs: dict[str, Any], out: Tensor) -> float:
    return out.numel() * math.prod(_operand(args, kwargs, 1, "weight").shape[1:])


def _attention(args: tuple, kwargs: dict[str, Any], out: Tensor) -> float:
    q, k = _operand(args, kwargs, 0, "query"), _operand(args, kwargs, 1, "key")
    return (out.numel() + q.numel()) * k.shape[-2]


COUNTS: dict[Callable, Callable[[tuple, dict[str, Any], Tensor], float]] = {
    torch.nn.functional.linear: _linear,
    torch.nn.functional.scaled_dot_product_attention: _attention,
    **dict.fromkeys((torch.nn.functional.conv1d, torch.conv1d, torch.nn.functional.conv2d, torch.conv2d,
                     torch.nn.functional.conv3d, torch.conv3d), _convolution),
    **dict.fromkeys((torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.mm, Tensor.mm),
                    _product),
    **dict.fromkeys((torch.addmm, Tensor.addmm, torch.baddbmm, Tensor.baddbmm), _product_added),
}  # fmt: skip

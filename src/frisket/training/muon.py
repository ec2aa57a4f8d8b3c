"""Muon: momentum whose update is orthogonalised by Newton-Schulz iterations, for the matrices of hidden layers.

Source: Keller Jordan's note (https://kellerjordan.github.io/posts/muon/), with its quintic coefficients; the step is
scaled by 0.2 sqrt(max(rows, columns)) so that its RMS is that of AdamW (arXiv 2502.16982, eq. 4), and one learning rate
serves both. `torch.optim.Muon` iterates in bfloat16, where the last bit of a gradient decides a whole rounding step, so
runs on one and on two processes would part; here the iteration is float32 and the matrix is gathered when sharded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.training.layout import cut, full, local

QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Float[Tensor, "r c"], rounds: int = 5) -> Float[Tensor, "r c"]:
    """Near U V^T of `matrix` = U S V^T: after five rounds singular values lie in about [0.7, 1.2]; 0 stays 0."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x.float() / x.float().norm().clamp(min=1e-7)
    a, b, c = QUINTIC
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """For 2-d parameters only. One momentum buffer an element; weight decay is decoupled."""

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, group)

    def _move(self, p: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        grad, momentum = local(p.grad), local(state["momentum"])  # type: ignore[arg-type]
        momentum.mul_(group["momentum"]).add_(grad)
        ahead = grad + group["momentum"] * momentum  # Nesterov
        update = local(cut(orthogonalise(full(ahead, like=p)).to(p.dtype), p))
        scale = 0.2 * math.sqrt(max(p.shape))
        local(p).mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"] * scale)

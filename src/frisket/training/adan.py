"""Adan: adaptive Nesterov momentum with three averages, of the gradient, its change, and their squared sum.

arXiv 2208.06677, algorithm 1, in the convention of its released code (read for facts): `betas` are the shares that
stay, moments are bias-corrected, weight decay divides by 1 + lr * decay. The first step sees no change of gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from frisket.training.layout import local


class Adan(torch.optim.Optimizer):
    """State an element: three averages and the last gradient. Works on the local pieces of sharded parameters."""

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
                 eps: float = 1e-8, weight_decay: float = 0.0):  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, group)

    def _move(self, p: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["step"] = torch.zeros(())
            for name in ("mean", "change", "square"):
                state[name] = torch.zeros_like(p)
            state["last"] = p.grad.detach().clone()  # type: ignore[union-attr]
        state["step"] += 1
        count = float(state["step"])
        b1, b2, b3 = group["betas"]
        grad = local(p.grad)  # type: ignore[arg-type]
        mean, change, square, last = (local(state[n]) for n in ("mean", "change", "square", "last"))
        difference = grad - last
        mean.lerp_(grad, 1 - b1)
        change.lerp_(difference, 1 - b2)
        ahead = grad + b2 * difference
        square.mul_(b3).addcmul_(ahead, ahead, value=1 - b3)
        root = (square / (1 - b3**count)).sqrt_().add_(group["eps"])
        move = (mean / (1 - b1**count) + change * (b2 / (1 - b2**count))) / root
        local(p).sub_(move, alpha=group["lr"]).div_(1 + group["lr"] * group["weight_decay"])
        last.copy_(grad)

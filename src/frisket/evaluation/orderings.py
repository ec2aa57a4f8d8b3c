"""The likelihood of ids under an order of revealing: a masked model read as an autoregressive one, in any order.

Source: arXiv 2502.06768: the loss of a masked model is the mean over uniform orders of
L(order) = sum_j -log p(x_order(j) | x_order(<j)), so orders differ in likelihood although the network is one.
Shapes: b batch, n tokens (the grid flattened).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import check
from frisket.sampling.hiding import hide

Predict = Callable[[Tensor, Tensor], Output]


@torch.no_grad()
def order_nats(
    predict: Predict, process: Any, x: Int[Tensor, "b *grid"], order: Int[Tensor, "b n"]
) -> Float[Tensor, "b n"]:
    """-log p(x_i | everything that comes before i in its order), at place i; n forwards, float64.

    predict(x_t, t): the network's output at the process's t at which as much is hidden on average. order: a permutation
    of the places a row, first revealed first. Raises `FrisketError` if it is none.
    """
    places = torch.arange(order.shape[1], device=order.device)
    check(torch.equal(order.sort(1).values, places.expand_as(order)), "order", tuple(order.shape), "permutations")
    check(order.shape == (len(x), x[0].numel()), "order.shape", tuple(order.shape), f"({len(x)}, {x[0].numel()})")
    rank = order.argsort(1)
    flat = x.flatten(1)
    nats = torch.zeros(rank.shape, dtype=torch.float64, device=x.device)
    for j in range(rank.shape[1]):
        left = 1 - j / rank.shape[1]
        t = process.schedule.time(torch.full((len(x),), left, dtype=torch.float64, device=x.device))
        x_t = hide(process, x, (rank >= j).reshape(x.shape))
        logits = process.estimate(predict(x_t, t), x_t, t).logits.flatten(1, -2)
        own = torch.log_softmax(logits.to(torch.float64), -1).gather(-1, flat[..., None])[..., 0]
        nats = torch.where(rank == j, -own, nats)
    return nats

"""Counting: parameters, and multiply-accumulates of one forward pass, without computing anything.

The literature's "Gflops" of a transformer are 10^9 multiply-accumulates (MACs); torch's counter counts two operations
for each.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from frisket.core.condition import Condition
from frisket.models.base import BackboneConfig


def count_parameters(model: nn.Module, trained_only: bool = False) -> int:
    """Numbers in the model's parameters, frozen tables included unless `trained_only`; shared ones count once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained_only)


def count_macs(
    model: nn.Module, shape: tuple[int, ...], cond: Mapping[str, Tensor] | None = None, dtype: torch.dtype | None = None
) -> int:
    """Multiply-accumulates of one forward pass for one state of `shape` (batch left out), of matrix products only.

    Runs on a meta copy, so the model may have any size. `cond`: example values, one row each; a model that reads class
    ids and references like the state only needs none. dtype: of the state; float32, or int64 for a network that reads ids.
    """
    from torch.utils.flop_counter import FlopCounterMode

    ghost = copy.deepcopy(model).to("meta")
    reads_ids = isinstance(getattr(getattr(model, "input", None), "table", None), nn.Embedding)
    x = torch.empty((1, *shape), dtype=dtype or (torch.int64 if reads_ids else torch.float32), device="meta")
    values = {name: torch.zeros(1, dtype=torch.int64) for name in getattr(getattr(model, "doors", None), "ways", {})}
    encoded = getattr(getattr(model, "doors", None), "encoded", ())
    values |= {name: torch.zeros((1, *shape), dtype=x.dtype) for name in encoded} | dict(cond or {})
    given = Condition({name: value.to("meta") for name, value in values.items()})
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        ghost(x, torch.empty(1, device="meta"), given if values else None)
    return counter.get_total_flops() // 2


def parameters_of_size(config: BackboneConfig) -> int:
    """Parameters of a configuration of any size, built on meta."""
    with torch.device("meta"):
        return count_parameters(config.build())


def macs_of_size(config: BackboneConfig, shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of a configuration of any size for one state of `shape`, built on meta."""
    with torch.device("meta"):
        model = config.build()
    return count_macs(model, shape)

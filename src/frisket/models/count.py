"""Counting: parameters, and multiply-accumulates of one forward pass, without computing anything.

The literature's "Gflops" of a transformer are 10^9 multiply-accumulates (MACs); torch's counter counts two operations
for each. The scan of Mamba is no product and is counted as papers on it do.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from frisket.core.condition import Condition
from frisket.core.sites import install
from frisket.core.state import Shape, empty
from frisket.core.step import Step, use_step
from frisket.models.base import BackboneConfig


def count_parameters(model: nn.Module, trained_only: bool = False) -> int:
    """Numbers in the model's parameters, frozen tables included unless `trained_only`; shared ones count once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained_only)


def count_macs(
    model: nn.Module, shape: Shape, cond: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None, kept: Mapping[str, int] | None = None,
) -> int:  # fmt: skip
    """Multiply-accumulates of one forward pass for one state of `shape` (batch left out): of matrix products and
    convolutions, and of selective scans by their usual count (`scan.MACS_PER_STATE`).

    Runs on a meta copy, so the model may have any size. `cond`: example values, one row each; class ids, ids whose
    embedder states its `shape` and references like the state need none. dtype: of the state; float32, or int64 for a
    network that reads ids. kept: how many tokens pass through a span, by its name; all where it is not named.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        _ghost_pass(model, shape, cond, dtype, kept)
    return counter.get_total_flops() // 2


@torch.no_grad()
def count_macs_through(shape: tuple[int, ...], *modules: nn.Module) -> int:
    """Multiply-accumulates of one array of `shape` (batch left out) on its way through `modules`, one after the other.
    Runs on meta copies."""
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.empty(1, *shape, device="meta")
    with FlopCounterMode(display=False) as counter:
        for module in modules:
            x = copy.deepcopy(module).to("meta").requires_grad_(False)(x)
    return counter.get_total_flops() // 2


def count_attention_macs(
    model: nn.Module, shape: Shape, cond: Mapping[str, Tensor] | None = None, leave_out: tuple[str, ...] = ()
) -> int:
    """Multiply-accumulates of all products of queries with keys and of their weights with values, for one state of
    `shape`; projections do not count, and a mask saves nothing. leave_out: names of branches that do not count."""
    total = 0

    def note(call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        nonlocal total
        q, k, v = args[:3]
        total += q.shape[:-1].numel() * k.shape[2] * (q.shape[-1] + v.shape[-1])
        return call(*args)

    ghost = copy.deepcopy(model)
    inner = [s for s in ghost.sites() if s.endswith((".attend", ".proxies", ".prompts"))]  # type: ignore[operator]
    counted = {s: note for s in inner if s.split(".")[1] not in leave_out}
    with install(ghost, counted):
        _ghost_pass(ghost, shape, cond, None, None)
    return total


@torch.no_grad()
def _ghost_pass(
    model: nn.Module, shape: Shape, cond: Mapping[str, Tensor] | None, dtype: torch.dtype | None,
    kept: Mapping[str, int] | None,
) -> None:  # fmt: skip
    """One forward of a meta copy."""
    ghost = copy.deepcopy(model).to("meta").requires_grad_(False)  # the counter hooks on what may have a gradient
    ends = getattr(model, "input", None)
    reads_ids = isinstance(getattr(ends, "table", None), nn.Embedding) or getattr(ends, "reads_ids", False)
    kind = dtype or (torch.int64 if reads_ids else torch.float32)
    x = empty(shape, dtype=kind, device="meta")
    encoded = getattr(getattr(model, "doors", None), "encoded", ())
    values = _examples(model) | {name: empty(shape, dtype=kind) for name in encoded} | dict(cond or {})
    given = Condition({name: value.to("meta") for name, value in values.items()})
    keep = {name: torch.empty(1, m, dtype=torch.int64, device="meta") for name, m in (kept or {}).items()}
    with use_step(Step(seed=0, sample=torch.zeros(1, dtype=torch.int64))):
        ghost(x, torch.empty(1, device="meta"), given if values else None, **({"keep": keep} if keep else {}))


def _examples(model: nn.Module) -> dict[str, Tensor]:
    """Ids 0 for every condition that the model reads, in the shape of one value."""
    shapes = {d.name: getattr(d.embedder, "shape", ()) for d in getattr(getattr(model, "config", None), "doors", ())}
    names = getattr(getattr(model, "doors", None), "ways", {})
    return {name: torch.zeros(1, *shapes.get(name, ()), dtype=torch.int64) for name in names}


def count_macs_chosen(model: nn.Module, shape: Shape, chooses: Mapping[str, Any]) -> float:
    """Multiply-accumulates of one forward pass in the mean over who passes through each span (`choose/...`)."""
    if not chooses:
        return count_macs(model, shape)
    tags = model.tags(empty(shape))  # type: ignore[operator]
    total = 0.0
    for case in product(*(choose.counts(tags) for choose in chooses.values())):
        chance = math.prod(p for p, _ in case)
        total += chance * count_macs(model, shape, kept={n: m for n, (_, m) in zip(chooses, case, strict=True)})
    return total


def parameters_of_size(config: BackboneConfig) -> int:
    """Parameters of a configuration of any size, built on meta."""
    with torch.device("meta"):
        return count_parameters(config.build())


def macs_of_size(config: BackboneConfig, shape: Shape) -> int:
    """Multiply-accumulates of a configuration of any size for one state of `shape`, built on meta."""
    with torch.device("meta"):
        model = config.build()
    return count_macs(model, shape)


def attention_macs_of_size(
    config: BackboneConfig, shape: Shape, cond: Mapping[str, tuple[int, ...]], leave_out: tuple[str, ...] = ()
) -> int:
    """`count_attention_macs` of a configuration of any size, built on meta. cond: shapes of float conditions."""
    with torch.device("meta"):
        model = config.build()
        values = {name: torch.empty(1, *size) for name, size in cond.items()}
    return count_attention_macs(model, shape, values, leave_out)

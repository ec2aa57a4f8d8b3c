"""Which parameters learn how: groups by tag, and the optimisers AdamW, Adan and Muon built over them.

AdamW (arXiv 1711.05101) is torch's own; `adan.py` and `muon.py` say where theirs come from. Parameters are sorted by
name before any wrapper touches them, since sharding makes new parameter objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.training.adan import Adan as AdanStep
from frisket.training.muon import Muon as MuonStep

FLAT = (nn.Embedding,)


@dataclass(frozen=True)
class Tag:
    """How one parameter is treated. hidden: a matrix inside the network (Muon's). decay: weight decay applies.
    scale: factor on the learning rate (muP)."""

    hidden: bool
    decay: bool
    scale: float = 1.0


@dataclass(frozen=True)
class Group:
    """Parameters that share a tag, by name."""

    tag: Tag
    parameters: Mapping[str, Tensor]


def tags(task: nn.Module, learning: Mapping[str, nn.Module]) -> dict[str, Tag]:
    """The tag of every parameter that learns, by its name in `task`; every other parameter is frozen in place.

    A module may say the role of its parameters as `marks` (name -> an object with `role`), and a parameter may carry
    `lr_scale`. Without a mark a matrix is hidden unless it is an embedding's or sits in a module named head, final,
    embed or embedder. Raises `FrisketError` if nothing learns.
    """
    learns = {id(p) for module in learning.values() for p in module.parameters() if p.requires_grad}
    flat = {id(p) for m in task.modules() if isinstance(m, FLAT) for p in m.parameters(recurse=False)}
    roles = {
        id(p): mark.role
        for m in task.modules()
        for name, mark in getattr(m, "marks", {}).items()
        if (p := m._parameters.get(name)) is not None
    }
    out = {}
    for name, p in task.named_parameters():
        if id(p) not in learns:
            p.requires_grad_(False)
            continue
        role = roles.get(id(p)) or _role(name, p, id(p) in flat)
        hidden = role in ("matrix", "modulation") and p.ndim == 2
        decays = role not in ("vector", "embedding", "table")
        out[name] = Tag(hidden=hidden, decay=decays, scale=float(getattr(p, "lr_scale", 1.0)))
    if not out:
        raise FrisketError("the task has no parameter that learns")
    return out


def _role(name: str, p: Tensor, embedding: bool) -> str:
    """The role of a parameter that no module marked."""
    if p.ndim < 2:
        return "vector"
    if embedding:
        return "embedding"
    ends = ("head", "final", "embed", "embedder", "embedders", "embedding", "null")
    return "input" if p.ndim != 2 or any(part in ends for part in name.split(".")) else "matrix"


def groups(task: nn.Module, tagged: Mapping[str, Tag]) -> list[Group]:
    """The parameters of `task`, as they are now, gathered by tag in order of first appearance."""
    held: dict[Tag, dict[str, Tensor]] = {}
    for name, p in task.named_parameters():
        if name in tagged:
            held.setdefault(tagged[name], {})[name] = p
    return [Group(tag, parameters) for tag, parameters in held.items()]


class Optimiser(Protocol):
    """A registered value ("optimiser/...")."""

    def build(self, groups: Sequence[Group]) -> list[torch.optim.Optimizer]: ...


def _rows(groups: Sequence[Group], lr: float, decay: float) -> list[dict[str, Any]]:
    """torch's own form of `groups`; `base_lr` is what a schedule multiplies."""
    return [
        {
            "params": list(g.parameters.values()),
            "lr": lr * g.tag.scale,
            "base_lr": lr * g.tag.scale,
            "weight_decay": decay if g.tag.decay else 0.0,
        }
        for g in groups
    ]


def _adamw(rows: list[dict[str, Any]], betas: tuple[float, float], eps: float) -> torch.optim.Optimizer:
    """torch's AdamW in its fused form: one kernel for all parameters, where the default has a dozen for each."""
    return torch.optim.AdamW(rows, betas=betas, eps=eps, fused=True)


def _check(lr: float, decay: float, betas: Sequence[float]) -> None:
    check(lr > 0, "optimiser.lr", lr, "above 0")
    check(decay >= 0, "optimiser.weight_decay", decay, "0 or more")
    check(all(0 <= b < 1 for b in betas), "optimiser.betas", betas, "at least 0 and below 1")


@register("optimiser/adamw")
@dataclass(frozen=True, kw_only=True)
class AdamW:
    """AdamW; decay on weights only, not on biases, norms and look-up tables."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self):
        _check(self.lr, self.weight_decay, self.betas)

    def build(self, groups: Sequence[Group]) -> list[torch.optim.Optimizer]:
        return [_adamw(_rows(groups, self.lr, self.weight_decay), self.betas, self.eps)]


@register("optimiser/adan")
@dataclass(frozen=True, kw_only=True)
class Adan:
    """Adan (arXiv 2208.06677)."""

    lr: float = 1e-3
    betas: tuple[float, float, float] = (0.98, 0.92, 0.99)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self):
        _check(self.lr, self.weight_decay, self.betas)

    def build(self, groups: Sequence[Group]) -> list[torch.optim.Optimizer]:
        return [AdanStep(_rows(groups, self.lr, self.weight_decay), betas=self.betas, eps=self.eps)]


@register("optimiser/muon")
@dataclass(frozen=True, kw_only=True)
class Muon:
    """Muon for hidden matrices, AdamW at `rest` times the same rate for embeddings, heads and vectors."""

    lr: float = 1e-3
    momentum: float = 0.95
    rest: float = 1.0
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self):
        _check(self.lr, self.weight_decay, (*self.betas, self.momentum))
        check(self.rest > 0, "optimiser.rest", self.rest, "above 0")

    def build(self, groups: Sequence[Group]) -> list[torch.optim.Optimizer]:
        hidden = [g for g in groups if g.tag.hidden]
        others = [g for g in groups if not g.tag.hidden]
        out: list[torch.optim.Optimizer] = []
        if hidden:
            out.append(MuonStep(_rows(hidden, self.lr, self.weight_decay), momentum=self.momentum))
        if others:
            rows = _rows(others, self.lr * self.rest, self.weight_decay)
            out.append(_adamw(rows, self.betas, self.eps))
        return out


def set_rate(optimisers: Sequence[torch.optim.Optimizer], factor: float) -> float:
    """Set every group's rate to `factor` times its own; returns the first group's."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
    return optimisers[0].param_groups[0]["lr"]

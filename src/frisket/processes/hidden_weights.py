"""Weights of the cross-entropy of hidden elements, which is averaged over all elements that count.

The bound's weight makes the average a likelihood bound (MD4, MDLM); the others do not (MaskGIT, BERT, MaskBit) and only
train.
Shapes: b batch, `*g` the grid of ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.registry import register
from frisket.processes.base import expand
from frisket.processes.schedules import Schedule

CITE_MDLM = "Sahoo et al. Simple and Effective Masked Diffusion Language Models. 2024. arXiv:2406.07524"
CITE_MASKBIT = "Weber et al. MaskBit: Embedding-free Image Generation via Bit Tokens. 2024. arXiv:2409.16211"
CITE_MASKGIT = "Chang et al. MaskGIT: Masked Generative Image Transformer. 2022. arXiv:2202.04200"


@runtime_checkable
class HiddenWeight(Protocol):
    """A registered value ("hidden-weight/..."). everywhere: visible elements are scored too."""

    everywhere: ClassVar[bool]

    def on(
        self, schedule: Schedule, local: Float[Tensor, "b ..."], hidden: Bool[Tensor, "b *g"],
        counts: Bool[Tensor, "b *g"],
    ) -> Float[Tensor, "b ..."]:  # fmt: skip
        """A factor broadcastable to the grid. hidden: where the loss applies; counts: what it is averaged over."""
        ...


@register("hidden-weight/bound", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class Bound:
    """m'(t) / m(t): the continuous-time bound."""

    everywhere: ClassVar[bool] = False

    def on(
        self, schedule: Schedule, local: Float[Tensor, "b ..."], hidden: Bool[Tensor, "b *g"],
        counts: Bool[Tensor, "b *g"],
    ) -> Float[Tensor, "b ..."]:  # fmt: skip
        return expand(schedule.weight(local), hidden).to(torch.float32)


@register("hidden-weight/none", cite=CITE_MASKGIT)
@dataclass(frozen=True, kw_only=True)
class Plain:
    """1: samples with more hidden weigh more."""

    everywhere: ClassVar[bool] = False

    def on(
        self, schedule: Schedule, local: Float[Tensor, "b ..."], hidden: Bool[Tensor, "b *g"],
        counts: Bool[Tensor, "b *g"],
    ) -> Float[Tensor, "b ..."]:  # fmt: skip
        return expand(torch.ones(len(hidden), device=hidden.device), hidden)


@register("hidden-weight/per-hidden")
@dataclass(frozen=True, kw_only=True)
class PerHidden:
    """Turns the average into one over the hidden elements of the sample."""

    everywhere: ClassVar[bool] = False

    def on(
        self, schedule: Schedule, local: Float[Tensor, "b ..."], hidden: Bool[Tensor, "b *g"],
        counts: Bool[Tensor, "b *g"],
    ) -> Float[Tensor, "b ..."]:  # fmt: skip
        share = counts.flatten(1).sum(1) / (hidden & counts).flatten(1).sum(1).clamp(min=1)
        return expand(share.to(torch.float32), hidden)


@register("hidden-weight/everywhere", cite=CITE_MASKBIT)
@dataclass(frozen=True, kw_only=True)
class Everywhere(Plain):
    """1, and visible elements are scored like hidden ones: the network must also copy what it sees (MaskBit)."""

    everywhere: ClassVar[bool] = True

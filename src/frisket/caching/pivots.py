"""Kept pivots: what the coarse phase of a two-level model gave for a token when it was revealed, for the fine phase.

Hi-MAR (arXiv 2505.20288; facts from HiDream-ai/himar models/himar.py `sample_tokens`): the vector of each coarse token
is kept from the last call in which it was hidden, and that of the conditional branch serves all branches. While all
coarse tokens are visible the coarse phase does not run at all.
Shapes: b rows, m coarse tokens, w width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from frisket.core.registry import register
from frisket.core.sites import Handler
from frisket.core.step import Step

CITE = "Zheng et al. Hierarchical Masked Autoregressive Models with Low-Resolution Token Pivots. 2025. arXiv:2505.20288"


@register("cache/pivots", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Pivots:
    """For models with a site `coarse`; on a model of one level it does nothing."""

    def mount(self, model: Any) -> Kept:
        return Kept(two="coarse" in model.sites())


@dataclass
class Kept:
    """The vectors of one run, by sample. computed, kept: how many calls ran the coarse phase, and how many did not."""

    two: bool
    vectors: dict[int, Tensor] = field(default_factory=dict)
    computed: int = 0
    kept: int = 0

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"coarse": self.handle} if self.two else {}

    @property
    def report(self) -> Kept:
        return self

    def handle(self, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> tuple[Tensor, Tensor]:
        """(vectors (b, m, w), where they are read): at sampling everywhere, from what was kept where visible."""
        seen = args[1]
        own = step.sample.tolist()
        rows = len(own) // max(1, len(step.branch.split("+")))  # of the main branch, which comes first
        if bool(seen.all()) and all(i in self.vectors for i in own):
            self.kept += 1
            vectors = torch.stack([self.vectors[i] for i in own])
            return vectors, torch.ones_like(seen)
        self.computed += 1
        vectors, _ = call(*args)
        for i, number in enumerate(own[:rows]):
            before = self.vectors.get(number, torch.zeros_like(vectors[i]))
            self.vectors[number] = torch.where(seen[i, :, None], before, vectors[i])
        whole = torch.stack([self.vectors[i] for i in own])
        known = torch.stack([self.vectors[i].abs().sum(-1) > 0 for i in own])
        return torch.where(seen[..., None], whole, vectors), ~seen | known

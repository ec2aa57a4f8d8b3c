"""Commits: whether what was revealed stays.

Source of hiding again: arXiv 2503.00307 (ReMDM, its capped rate), which keeps the marginals of masked diffusion when
the reveal chance is raised to match (`select/bernoulli` does). Shapes: b rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register

CITE_REMDM = "Wang et al. Remasking Discrete Diffusion Models with Inference-Time Scaling. 2025. arXiv:2503.00307"


class Commit(Protocol):
    """A registered value ("commit/...")."""

    def rate(self, share_t: Float[Tensor, "b"], share_s: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        """The chance that a visible token is hidden again on the way from t to s, given the process's hidden shares."""
        ...


@register("commit/lock")
@dataclass(frozen=True, kw_only=True)
class Lock:
    """What is revealed stays."""

    def rate(self, share_t: Float[Tensor, "b"], share_s: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        return torch.zeros_like(share_t)


@register("commit/remask", cite=CITE_REMDM)
@dataclass(frozen=True, kw_only=True)
class Remask:
    """Hide again with the chance min(cap, share_s / (1 - share_t)), the largest that any exact step may have, cut."""

    cap: float = 0.02

    def __post_init__(self):
        check(0 <= self.cap <= 1, "commit.cap", self.cap, "between 0 and 1")

    def rate(self, share_t: Float[Tensor, "b"], share_s: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        return (share_s / (1 - share_t).clamp(min=1e-12)).clamp(max=self.cap)

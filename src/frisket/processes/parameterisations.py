"""What a network's logits say about a masked state, as log probabilities over the k real symbols and the mask.

`plain` is D3PM (2107.03006): a softmax over all k + 1 ids everywhere, so the network must learn not to predict the mask
and to repeat what it sees. `substitution` is MDLM's SUBS (2406.07524), where both hold by construction. Read for facts:
`_d3pm_parameterization` and `_subs_parameterization` in diffusion.py of kuleshov-group/mdlm.
Shapes: b batch, `*g` the grid of ids, k real symbols, s logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.processes.absorbing import NEVER, copied, symbols

CITE_D3PM = "Austin et al. Structured Denoising Diffusion Models in Discrete State-Spaces. 2021. arXiv:2107.03006"
CITE_MDLM = "Sahoo et al. Simple and Effective Masked Diffusion Language Models. 2024. arXiv:2406.07524"


@runtime_checkable
class Parameterisation(Protocol):
    """A registered value ("parameterisation/...")."""

    @property
    def clean(self) -> float:
        """The share of training samples that are shown clean, at t = 0, to learn the reconstruction; 0 where that
        has nothing to learn."""
        ...

    def outputs(self, k: int) -> int:
        """The number of logits for k real symbols."""
        ...

    def logp(self, pred: Float[Tensor, "b *g s"], x_t: Int[Tensor, "b *g"], k: int) -> Float[Tensor, "b *g s1"]:
        """Normalised log probabilities (b, *g, k + 1) of each element's clean id, float32, the mask last."""
        ...


@register("parameterisation/substitution", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class Substitution:
    """A hidden element is a real symbol, never the mask; a visible one is what it is."""

    @property
    def clean(self) -> float:
        return 0.0

    def outputs(self, k: int) -> int:
        return k

    def logp(self, pred: Float[Tensor, "b *g s"], x_t: Int[Tensor, "b *g"], k: int) -> Float[Tensor, "b *g s1"]:
        logp = copied(symbols(pred, x_t, k), x_t)
        return torch.cat([logp, torch.full_like(logp[..., :1], NEVER)], dim=-1)


@register("parameterisation/plain", cite=CITE_D3PM)
@dataclass(frozen=True, kw_only=True)
class Plain:
    """The softmax of all k + 1 logits, for hidden and visible elements alike.

    clean: official code runs the network a second time in every step, on the clean batch, to learn the reconstruction;
    here this share of the samples is shown clean instead, weighted so that the loss has the same expectation.
    """

    clean: float = 0.1

    def __post_init__(self):
        check(0 < self.clean < 1, "parameterisation.clean", self.clean, "between 0 and 1")

    def outputs(self, k: int) -> int:
        return k + 1

    def logp(self, pred: Float[Tensor, "b *g s"], x_t: Int[Tensor, "b *g"], k: int) -> Float[Tensor, "b *g s1"]:
        if pred.shape != (*x_t.shape, k + 1):
            raise FrisketError(
                f"logits of shape {tuple(pred.shape)} do not fit ids {tuple(x_t.shape)}, {k} symbols and the mask"
            )
        return torch.log_softmax(pred.to(torch.float32), dim=-1)

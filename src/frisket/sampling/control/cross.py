"""Cross-attention control: words that both captions share look where the source's words looked.

Prompt-to-Prompt (arXiv 2208.01626), as DiT4Edit (arXiv 2411.03286) applies it in transformers. For the first share of
the steps a target query's probability of a shared word is that of the same query in the source stream; words of the
target alone keep their own. Rows are not normalised again, as in the original.
Shapes: b rows, h heads, n queries, m words, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.models.attend import placed
from frisket.sampling.control.base import Handlers, Words, sites_of, streams

CITE_P2P = "Hertz et al. Prompt-to-Prompt Image Editing with Cross Attention Control. 2022. arXiv:2208.01626"


@register("control/cross", cite=CITE_P2P)
@dataclass(frozen=True, kw_only=True)
class CrossControl:
    """until: share of the steps in which it acts. sites: the cross-attention of every block."""

    until: float = 0.6
    sites: tuple[str, ...] = ("block[:].cross.attend",)

    def __post_init__(self):
        check(0 <= self.until <= 1, "control.until", self.until, "a share of the steps")

    def mount(self, model: Any) -> Handlers:
        return Handlers(handlers={})  # without words there is nothing to share

    def told(self, words: Words) -> _Told:
        return _Told(control=self, words=words)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Told:
    """The control of one run."""

    control: CrossControl
    words: Words

    def mount(self, model: Any) -> Handlers:
        return Handlers(handlers=dict.fromkeys(sites_of(model, self.control.sites), self.handle))

    def handle(self, call: Callable[..., Tensor], args: tuple[Any, ...], step: Step) -> Tensor:
        """The plain call, with the target rows attended anew."""
        out = call(*args)
        q, k, v, q_tags, k_tags, *rest = args
        found = streams(len(q), step)
        if found is None or step.index >= self.control.until * step.total:
            return out
        source, target = found
        p = probabilities(*placed(q, k, q_tags, k_tags, *rest[:2]))
        times = len(target) // len(self.words.alias)  # guidance branches
        alias = self.words.alias.repeat(times, 1)[:, None, None].expand(-1, *p.shape[1:3], -1)
        borrowed = p[source].gather(3, alias.clamp(min=0))
        mixed = torch.where(alias >= 0, borrowed, p[target])
        if self.words.emphasis is not None:
            mixed = mixed * self.words.emphasis.repeat(times, 1)[:, None, None].to(mixed.dtype)
        return out.index_copy(0, target, (mixed @ v[target]).to(out.dtype))


def probabilities(q: Tensor, k: Tensor, bias: Tensor | None) -> Float[Tensor, "b h n m"]:
    """softmax(q k / sqrt(d) + bias)."""
    score = (q @ k.mT) * q.shape[-1] ** -0.5
    return (score if bias is None else score + bias).softmax(-1)

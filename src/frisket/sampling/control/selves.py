"""Self-attention control: the target stream looks at the source's tokens, or with the source's eyes.

Mutual self-attention (MasaCtrl, arXiv 2304.08465) reads the source's keys and values, so texture and surroundings are
kept; taking queries and keys instead keeps the layout and leaves the values to the target. DiT4Edit (arXiv 2411.03286)
uses the first late in the network; where exactly it does not say, and the shares here are ours.
Shapes: b rows, h heads, n tokens, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.sampling.control.base import Handlers, later, sites_of, streams

CITE_MUTUAL = (
    "Cao et al. MasaCtrl: Tuning-Free Mutual Self-Attention Control for Consistent Image Synthesis and Editing. 2023. "
    "arXiv:2304.08465"
)


@register("control/self", cite=CITE_MUTUAL)
@dataclass(frozen=True, kw_only=True)
class SelfControl:
    """Keys and values of the source. after: share of the steps that pass before it acts (the shape of what changes is
    made in them). beyond: share of the blocks, from the first, in which it never acts; 1 for none at all."""

    after: float = 0.2
    beyond: float = 1 / 3
    sites: tuple[str, ...] = ("block[:].attn.attend",)

    def __post_init__(self):
        check(0 <= self.after <= 1, "control.after", self.after, "a share of the steps")
        check(0 <= self.beyond <= 1, "control.beyond", self.beyond, "a share of the blocks")

    def mount(self, model: Any) -> Handlers:
        return Handlers(handlers=dict.fromkeys(later(sites_of(model, self.sites), self.beyond), self.handle))

    def handle(self, call: Callable[..., Tensor], args: tuple[Any, ...], step: Step) -> Tensor:
        """The call with the target's keys and values replaced."""
        q, k, v, *rest = args
        found = streams(len(q), step)
        if found is None or step.index < self.after * step.total:
            return call(*args)
        source, target = found
        return call(q, k.index_copy(0, target, k[source]), v.index_copy(0, target, v[source]), *rest)


@register("control/layout", cite=CITE_MUTUAL)
@dataclass(frozen=True, kw_only=True)
class LayoutControl:
    """Queries and keys of the source, so that who looks at whom is the source's. until: share of the steps in which it
    acts. beyond: share of the blocks, from the first, in which it never acts."""

    until: float = 0.2
    beyond: float = 0.0
    sites: tuple[str, ...] = ("block[:].attn.attend",)

    def __post_init__(self):
        check(0 <= self.until <= 1, "control.until", self.until, "a share of the steps")
        check(0 <= self.beyond <= 1, "control.beyond", self.beyond, "a share of the blocks")

    def mount(self, model: Any) -> Handlers:
        return Handlers(handlers=dict.fromkeys(later(sites_of(model, self.sites), self.beyond), self.handle))

    def handle(self, call: Callable[..., Tensor], args: tuple[Any, ...], step: Step) -> Tensor:
        """The call with the target's queries and keys replaced."""
        q, k, v, *rest = args
        found = streams(len(q), step)
        if found is None or step.index >= self.until * step.total:
            return call(*args)
        source, target = found
        return call(q.index_copy(0, target, q[source]), k.index_copy(0, target, k[source]), v, *rest)

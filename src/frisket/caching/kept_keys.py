"""Keys and values of tokens that are not computed: those computed look at all tokens, some of them as they were.

RAS (arXiv 2502.10389; facts from microsoft/RAS attention_processor.py): each self-attention holds the keys and values of
all tokens from the last full pass; a pass over some tokens overwrites theirs and attends to all. Positions are applied
afterwards, so rotations are those of every token's own place. Keys of waiting tokens come from earlier times: that is
the approximation. Two stored tensors a self-attention and guidance branch.
Shapes: b batch, h heads, n tokens, m kept tokens, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from frisket.caching.base import Cache, Mounted
from frisket.caching.macs import MacCounter
from frisket.caching.report import Forward, Report
from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.models.tokens import Tags
from frisket.sampling.solvers.waits import CITE


@register("cache/kept-keys", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class KeptKeys(Cache):
    """For calls with `keep`; a call without it is the plain one bit for bit."""

    def mount(self, model: Any) -> Mounted:
        sites = [site for site in model.sites() if site.endswith(".attend")]
        if not sites:
            raise FrisketError(f"{type(model).__name__} has no attention sites (block[i].NAME.attend) to hold keys of")
        keeper = _Keeper()
        handlers: dict[str, Any] = {"model": keeper.model}
        return Mounted(handlers=handlers | {s: partial(keeper.attend, s) for s in sites}, report=keeper.report)


@dataclass
class _Held:
    """Keys and values of all tokens (b, h, n, d), and their tags."""

    k: Tensor
    v: Tensor
    tags: Tags


@dataclass
class _Keeper:
    report: Report = field(default_factory=Report)
    held: dict[Any, _Held] = field(default_factory=dict)
    dense: dict[Any, float] = field(default_factory=dict)
    partial: int = 0
    full: int = 0

    def model(self, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        """Handler of the site "model": keeps the books, and forgets other runs."""
        self.held = {key: value for key, value in self.held.items() if key[0] == (step.run, step.seed)}
        self.partial = self.full = 0
        with MacCounter() as counter:
            out = call(*args)
        key = _line(step)
        if not self.partial:
            self.dense[key] = counter.total
        self.report.macs += counter.total
        self.report.dense_macs += self.dense.get(key, counter.total)
        self.report.bytes = max(
            self.report.bytes, sum(t.numel() * t.element_size() for h in self.held.values() for t in (h.k, h.v))
        )
        self.report.forwards.append(
            Forward(
                run=step.run, index=step.index, call=step.call, branch=step.branch, computed=self.full,
                reused=self.partial, forecast=0,
            )
        )  # fmt: skip
        return out

    def attend(self, site: str, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        """Handler of one attention. Cross-attention, whose keys are no tokens of the sequence, is left alone."""
        q, k, v, q_tags, k_tags, *rest = args
        if k_tags is not q_tags:
            return call(*args)
        key = (*_line(step), site)
        if q_tags.index is None:  # all tokens
            self.held[key] = _Held(k, v, k_tags)
            self.full += 1
            return call(*args)
        held = self.held.get(key)
        if held is None or len(held.k) != len(k):
            raise FrisketError(f"{site} is called for some tokens before a full pass of the same run and branch")
        self.partial += 1
        index = q_tags.batched("index", len(k), k.device)[:, None, :, None].expand(k.shape)
        held.k, held.v = held.k.scatter(2, index, k), held.v.scatter(2, index, v)
        return call(q, held.k, held.v, q_tags, held.tags, *rest)


def _line(step: Step) -> tuple[Any, ...]:
    return ((step.run, step.seed), step.branch, step.call)

"""References computed once a run: their keys and values of the first step serve all others, and their tokens are left
out of the later steps.

Exact, where references do not read the state and are modulated at a time of their own (`edit/attention_mask` with
`mask/isolated`, `edit/reference` with a `time`): then nothing of them changes while a run lasts.
Shapes: b batch, h heads, n tokens of the state, m of references, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from frisket.adapters.reference import RestrictAttention
from frisket.caching.base import Cache, Mounted
from frisket.caching.lines import History, Line, Lines
from frisket.caching.macs import MacCounter
from frisket.caching.report import Forward, Report
from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.models.masks.isolated import Isolated
from frisket.models.tokens import Tags, Tokens


@register("cache/references")
@dataclass(frozen=True, kw_only=True)
class References(Cache):
    """Keeps every block's keys and values of the references. A model called without any is left alone."""

    def mount(self, model: Any) -> Mounted:
        """Raises `FrisketError` on a model without references, or one whose references change from step to step."""
        doors = getattr(model, "doors", None)
        names = [n for n, way in getattr(doors, "ways", {}).items() if way == "tokens"]
        if not names:
            raise FrisketError(f"{type(model).__name__} has no references whose keys could be kept")
        moving = [n for n in names if n not in doors.times]  # type: ignore[union-attr]
        if moving:
            raise FrisketError(
                f"{', '.join(moving)} is modulated at the state's time, so its keys change at every step"
            )
        if not any(isinstance(e, RestrictAttention) and e.mask == Isolated() for e in getattr(model, "edits", ())):
            raise FrisketError(
                "the references look at the state, so their keys change at every step; they must be isolated"
            )
        keeper = _Keeper()
        sites = [s for s in model.sites() if s.endswith(".attend")]
        handlers: dict[str, Any] = {"model": keeper.model, "embed": keeper.embed}
        return Mounted(handlers=handlers | {s: partial(keeper.attend, s) for s in sites}, report=keeper.report)


class _Nothing:
    """A line needs no policy here: its first forward computes, the others reuse."""


class _Keeper:
    """The state that the handlers of one mounted cache share."""

    def __init__(self):
        self.lines: Lines[_Nothing] = Lines(_Nothing)
        self.report = Report()
        self.costs: dict[Any, float] = {}
        self.line: Line[_Nothing] | None = None
        self.spare = False
        self.count = 0

    def model(self, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        """Find the line; its first forward is whole."""
        outer = self.line, self.spare, self.count
        self.line = self.lines.enter(step, args)
        self.spare, self.count = bool(self.line.histories), 0
        try:
            with MacCounter() as counter:
                out = call(*args)
            self._note(counter.total, step)
        finally:
            self.line, self.spare, self.count = outer
        return out

    def embed(self, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        """Later forwards go on with the tokens of the state alone."""
        tokens, side = call(*args)
        if self.spare and tokens.tags.n > side.state:
            tokens = Tokens(tokens.h[:, : side.state], tokens.tags.narrow(side.state))
        return tokens, side

    def attend(self, site: str, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        """Keep what the references give at the first forward; put it behind the state's own at the others."""
        q, k, v, q_tags, k_tags, *rest = args
        if self.line is None or q_tags is not k_tags:  # called by itself, or attention to something else
            return call(*args)
        self.count += 1
        if self.spare:
            keys, values, tags = self.line.histories[site].values[-1]
            return call(q, torch.cat([k, keys], 2), torch.cat([v, values], 2), q_tags, tags, *rest)
        count = _of_state(k_tags)
        if count < k_tags.n:
            kept = (k[:, :, count:].detach(), v[:, :, count:].detach(), k_tags)
            self.line.histories.setdefault(site, History(1)).put(step.index, kept, count)
        return call(*args)

    def _note(self, macs: float, step: Step) -> None:
        assert self.line is not None
        answers = {"computed": 0 if self.spare else self.count, "reused": self.count if self.spare else 0}
        self.report.forwards.append(
            Forward(run=step.run, index=step.index, call=step.call, branch=step.branch, forecast=0, **answers)
        )
        if not self.spare:
            self.costs[self.line.fits[1]] = macs
        self.report.macs += macs
        self.report.dense_macs += self.costs[self.line.fits[1]]
        self.report.bytes = max(self.report.bytes, sum(_bytes(line) for line in self.lines.held.values()))


def _of_state(tags: Tags) -> int:
    """How many tokens, from the first, are the state's."""
    if tags.stream is None:
        return tags.n
    return int((tags.stream.reshape(-1, tags.n)[0] == 0).sum())


def _bytes(line: Line[_Nothing]) -> int:
    kept = [t for h in line.histories.values() for keys, values, _ in h.values for t in (keys, values)]
    return sum(t.numel() * t.element_size() for t in kept)

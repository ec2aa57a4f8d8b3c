"""The machine behind caches that answer whole branches: one policy a line, one store, one report.

What is stored is the *ungated* output of a branch, as FORA does (arXiv 2407.01425): gates, norms of the residual
stream, embedders and head are computed at every step, so a reused step still depends on the current state and time.
Shapes: those of the branches, b batch, n tokens, d width.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from frisket.caching.base import Mounted, Policy
from frisket.caching.forecasts import Forecast
from frisket.caching.lines import History, Line, Lines, combine, signature
from frisket.caching.macs import MacCounter
from frisket.caching.report import Forward, Report
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.step import Step

BRANCH = re.compile(r"(?:.*\.)?block\[\d+\]\.(\w+)")


def branch_sites(model: Any, names: Sequence[str] = ()) -> list[str]:
    """The branch sites of a model, in order: those called `names`, or all. A further site of the model may be named
    alone: "model", the whole network, or "encoder". Raises `FrisketError` where there is none, and on a name that no
    block has a branch of."""
    found = {site: m[1] for site in model.sites() if (m := BRANCH.fullmatch(site))}
    wide = [name for name in names if name in model.sites() and name not in found]
    if wide:
        check(len(names) == 1, "cache.sites", names, f"branches, or the {wide[0]} alone")
        return wide
    if not found:
        raise FrisketError(f"{type(model).__name__} has no branch sites (block[i].NAME) to cache")
    for name in names:
        if name not in found.values():
            raise unknown("branch", name, set(found.values()))
    return [site for site, name in found.items() if not names or name in names]


def mount_branches(
    model: Any, names: Sequence[str], policy: Callable[[], Policy], forecast: Forecast | None = None
) -> Mounted:
    """Handlers that answer the branches `names` (() for all, or one wider site alone) as a policy says.

    policy: makes the one of a line. forecast: what "forecast" does; without one nothing is looked back at but the
    latest result.
    """
    sites = branch_sites(model, names)
    keeper = Keeper(policy, forecast)
    if sites == ["model"]:
        return Mounted(handlers={"model": keeper.whole}, report=keeper.report)
    handlers: dict[str, Any] = {"model": keeper.model}
    return Mounted(handlers=handlers | {s: partial(keeper.site, s) for s in sites}, report=keeper.report)


@dataclass
class Costs:
    """Multiply-adds of one forward and of its cached sites, for inputs of one shape."""

    total: float = 0.0
    sites: dict[str, float] = field(default_factory=dict)


@dataclass
class Now:
    """The forward that is running. counter: set while its costs are being counted."""

    line: Line[Policy]
    costs: Costs
    counter: MacCounter | None
    answers: dict[str, int] = field(default_factory=lambda: {"compute": 0, "reuse": 0, "forecast": 0})
    calls: dict[str, int] = field(default_factory=dict)
    saved: float = 0.0


class Keeper:
    """The state that the handlers of one mounted cache share."""

    def __init__(self, policy: Callable[[], Policy], forecast: Forecast | None):
        self.lines: Lines[Policy] = Lines(policy)
        self.forecast = forecast
        self.report = Report()
        self.costs: dict[Any, Costs] = {}
        self.now: Now | None = None

    def model(self, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        """Handler of the site "model": finds the line, frames the policy, keeps the books."""
        line = self.lines.enter(step, args)
        new = line.fits[1] not in self.costs  # then the line is new too, so everything is computed and can be counted
        costs = self.costs.setdefault(line.fits[1], Costs())
        outer, self.now = self.now, Now(line, costs, MacCounter() if new else None)
        try:
            line.policy.begin(step)
            out = self._counted(call, args)
            line.policy.end(step)
            self._note(self.now, step)
        except BaseException:
            self.lines.drop(line)
            if new:
                del self.costs[line.fits[1]]
            raise
        finally:
            self.now = outer
        return out

    def whole(self, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        """Handler of the site "model" that may answer for the whole network."""
        return self.model(lambda *given: self.site("model", call, given, step), args, step)

    def site(self, name: str, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        """Handler of a branch."""
        now = self.now
        if now is None:  # called by itself, not as a part of the model's forward
            return call(*args)
        now.calls[name] = now.calls.get(name, 0) + 1
        key = f"{name} {now.calls[name]}"  # a module may be run in chunks
        history = now.line.histories.setdefault(key, History(1 if self.forecast is None else self.forecast.nodes))
        verb, shape = now.line.policy.decide(name, step), signature(args)
        if verb == "compute" or not history.values or history.shape != shape:
            now.answers["compute"] += 1
            result = self._computed(now, key, call, args)
            history.put(step.index, result, shape)
            now.line.policy.see(name, result, step)
            return result
        now.answers[verb] += 1
        now.saved += now.costs.sites.get(key, 0.0)
        if verb == "reuse" or self.forecast is None:
            return history.values[-1]
        return combine(self.forecast.weights(tuple(history.at), step.index), tuple(history.values))

    def _counted(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        assert self.now is not None
        if self.now.counter is None:
            return call(*args)
        with self.now.counter:
            out = call(*args)
        self.now.costs.total = self.now.counter.total
        return out

    def _computed(self, now: Now, key: str, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if now.counter is None:
            return call(*args)
        before = now.counter.total
        result = call(*args)
        now.costs.sites[key] = now.counter.total - before
        return result

    def _note(self, now: Now, step: Step) -> None:
        report, answers = self.report, now.answers
        report.forwards.append(
            Forward(
                run=step.run, index=step.index, call=step.call, branch=step.branch,
                computed=answers["compute"], reused=answers["reuse"], forecast=answers["forecast"],
            )
        )  # fmt: skip
        report.dense_macs += now.costs.total
        report.macs += now.costs.total - now.saved
        report.bytes = max(report.bytes, self.lines.bytes())

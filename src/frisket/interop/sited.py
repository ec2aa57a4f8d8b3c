"""Foreign transformers with sites: their modules' calls pass through a dispatcher while handlers are installed.

`install(transformer, handlers)` and `cache.install(transformer)` work on every class that `interop.layouts` describes,
and on a diffusers pipeline that holds one. Sites are `model` (called with the state and its time), `block[i]` (with the
hidden states) and `block[i].NAME` (with the branch's own input, which is normalised already; all other arguments stay
as they are). Nothing is left on the modules afterwards. Shapes: those of the model.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import nn

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.core.sites import Dispatch
from frisket.core.step import find_step, use_step
from frisket.interop.clock import Clock
from frisket.interop.layouts import LAYOUTS, Layout

HELD = "_frisket_sites"


@register("sited/described")
@dataclass(frozen=True, kw_only=True)
class Described:
    """Reads the models that `interop.layouts` describes, and pipelines that hold one as their `transformer`."""

    def read(self, model: Any) -> SitedModel | None:
        """The model's sites, or None if its class is not described. Raises `FrisketError` on a pipeline with two
        transformers: install on each."""
        scheduler, inner = None, model
        if hasattr(model, "scheduler") and hasattr(model, "transformer"):
            if getattr(model, "transformer_2", None) is not None:
                raise FrisketError(f"{type(model).__name__} holds two transformers; install on each by itself")
            scheduler, inner = model.scheduler, model.transformer
        layout = next((LAYOUTS[c.__name__] for c in type(inner).__mro__ if c.__name__ in LAYOUTS), None)
        if layout is None:
            return None
        held = inner.__dict__.get(HELD)
        return held if held is not None else SitedModel(inner, layout, scheduler)


class SitedModel:
    """The sites of one described model. Raises `FrisketError` if the model is not as its layout says."""

    def __init__(self, model: nn.Module, layout: Layout, scheduler: Any = None):
        self.model, self.layout, self.clock = model, layout, Clock(scheduler)
        self.places = _places(model, layout)
        self.at: Dispatch | None = None
        self.users = 0

    def sites(self) -> list[str]:
        return ["model", *self.places]

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Calls of the model's modules pass through the dispatcher meanwhile; entering again changes nothing."""
        if self.users:
            with self._counted():
                yield
            return
        modules = [self.model, *dict.fromkeys(self.places.values())]
        before = [module.__dict__.get("forward") for module in modules]
        self._put()
        try:
            with self._counted():
                yield
        finally:
            del self.model.__dict__[HELD]
            for module, own in zip(modules, before, strict=True):
                if own is None:
                    del module.__dict__["forward"]
                else:
                    module.__dict__["forward"] = own

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    def _put(self) -> None:
        self.model.__dict__[HELD] = self
        for site, module in self.places.items():
            module.__dict__["forward"] = self._inner(site, module.forward)
        self.model.__dict__["forward"] = self._outer(self.model.forward)

    def _outer(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        signature, state, time = inspect.signature(plain), self.layout.state, self.layout.time

        def forward(*args: Any, **kwargs: Any) -> Any:
            given = signature.bind(*args, **kwargs)

            def call(x: Any, t: Any) -> Any:
                given.arguments |= {state: x, time: t}
                return plain(*given.args, **given.kwargs)

            x, t = given.arguments[state], given.arguments[time]
            outer, self.at = self.at, Dispatch(self)
            try:
                with use_step(find_step() or self.clock.step(t, len(x))):
                    return self.at("model", call, x, t)
            finally:
                self.at = outer

        return forward

    def _inner(self, site: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if self.at is None:
                return plain(*args, **kwargs)
            if args:
                return self.at(site, lambda x: plain(x, *args[1:], **kwargs), args[0])
            name = next(iter(kwargs))
            return self.at(site, lambda x: plain(**{**kwargs, name: x}), kwargs[name])

        return forward


def _places(model: nn.Module, layout: Layout) -> dict[str, nn.Module]:
    """Site -> module, in the order of the call. Raises `FrisketError` on a path that is nowhere."""
    out: dict[str, nn.Module] = {}
    missing = []
    for stack in layout.stacks:
        blocks = _found(model, stack.where)
        if blocks is None:
            missing.append(stack.where)
            continue
        met = set()
        for block in blocks:
            number = sum(site.endswith("]") for site in out)
            out[f"block[{number}]"] = block
            held = {name: _found(block, path) for name, path in stack.branches.items()}
            out |= {f"block[{number}].{name}": module for name, module in held.items() if module is not None}
            met |= {name for name, path in stack.branches.items() if hasattr(block, path.split(".")[0])}
        missing += [f"{stack.where}[i].{stack.branches[n]}" for n in stack.branches if n not in met and len(blocks)]
    if missing:
        raise FrisketError(f"{type(model).__name__} is described with {', '.join(missing)}, which it does not have")
    return out


def _found(module: nn.Module, path: str) -> Any:
    try:
        return attrgetter(path)(module)
    except AttributeError:
        return None

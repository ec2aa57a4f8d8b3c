"""Sites and handlers: addressable positions in a model's call, and what may be put there for a while.

A site is a *position in the call*, not a module (layers may share weights). A model lists its sites and calls each
through a `Dispatch`; with no handler installed that is the plain call. A handler is `handle(call, args, step)`: call
`call(*args)` for the plain result, with other arguments for a changed one, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Protocol

from frisket.core.errors import FrisketError, unknown
from frisket.core.registry import lookup, names
from frisket.core.step import Step, current_step

Handler = Callable[[Callable[..., Any], tuple[Any, ...], Step], Any]
ATTRIBUTE = "_site_handlers"
INDEX = re.compile(r"\[(-?\d*)(:?)(-?\d*)\]")


class Sited(Protocol):
    """A model with sites."""

    def sites(self) -> list[str]: ...


class Dispatch:
    """Calls a site: `at("block[3].attn", fn, *args)`. Made once per forward pass of the model that owns the sites."""

    def __init__(self, model: object):
        self.handlers: Mapping[str, Sequence[Handler]] = getattr(model, ATTRIBUTE, {})

    def __call__(self, site: str, fn: Callable[..., Any], *args: Any) -> Any:
        chain = self.handlers.get(site) if self.handlers else None
        if not chain:
            return fn(*args)
        return _nest(fn, chain, current_step())(*args)

    def inside(self, site: str, name: str) -> str:
        """The site `name` inside `site`; "" while no handler stands anywhere. Names that nobody asks for are not made,
        or compiled blocks would differ by their names and each be compiled anew."""
        return f"{site}.{name}" if self.handlers else ""


def _nest(fn: Callable[..., Any], chain: Sequence[Handler], step: Step) -> Callable[..., Any]:
    """The first handler of the chain is the outermost."""
    for handler in reversed(chain):
        fn = partial(_handled, handler, fn, step)
    return fn


def _handled(handler: Handler, call: Callable[..., Any], step: Step, *args: Any) -> Any:
    return handler(call, args, step)


def match(pattern: str, sites: Sequence[str]) -> list[str]:
    """The sites that `pattern` names: an exact name, or `[i:j]` for a range and `[:]` for all indices.

    A negative index counts from the end. Raises `FrisketError` with the nearest site if nothing matches.
    """
    if pattern in sites:
        return [pattern]
    ranges = list(INDEX.finditer(pattern))
    shape = INDEX.sub("[]", pattern)
    found = []
    for site in sites:
        if INDEX.sub("[]", site) != shape:
            continue
        numbers = [int(m.group(1)) for m in INDEX.finditer(site) if not m.group(2)]
        if len(numbers) == len(ranges) and all(
            _inside(n, r, _count(sites, site, k)) for k, (n, r) in enumerate(zip(numbers, ranges, strict=True))
        ):
            found.append(site)
    if not found:
        raise unknown("site", pattern, sites)
    return found


def _count(sites: Sequence[str], site: str, k: int) -> int:
    """How many indices the k-th bracket of `site` takes, the other brackets held."""
    brackets = list(INDEX.finditer(site))
    head, tail = site[: brackets[k].start()], site[brackets[k].end() :]
    return sum(
        s.startswith(head + "[") and s.endswith(tail) and INDEX.sub("[]", s) == INDEX.sub("[]", site) for s in sites
    )


def _inside(number: int, bracket: re.Match[str], count: int) -> bool:
    low, colon, high = bracket.groups()
    if not colon:
        return bool(low) and not high and number == int(low) + (count if low.startswith("-") else 0)
    return number in range(*slice(int(low) if low else None, int(high) if high else None).indices(count))


def sited(model: Any) -> Sited:
    """`model` itself if it lists sites, else what a registered reader of foreign models ("sited/...") makes of it.

    Raises `FrisketError` if no reader knows it.
    """
    if hasattr(model, "sites"):
        return model
    for name in names("sited"):
        found = lookup(name)().read(model)
        if found is not None:
            return found
    raise FrisketError(
        f"{type(model).__name__} lists no sites; tell where its blocks are with "
        f"frisket.interop.layouts.describe({type(model).__name__!r}, Layout(...))"
    )


@contextmanager
def install(model: Any, handlers: Mapping[str, Handler]) -> Iterator[Any]:
    """Put `handlers` (site pattern -> handler) on `model` while the block runs; on exit nothing of them is left.

    Installing inside an installed block nests: what was there stays outermost. A foreign model is read by `sited`; its
    sites exist only meanwhile. Raises `FrisketError` on a pattern that names no site and on a model without sites.
    """
    holder: Any = sited(model)
    before = holder.__dict__.get(ATTRIBUTE)
    chains: dict[str, list[Handler]] = {site: list(chain) for site, chain in (before or {}).items()}
    sites = holder.sites() if handlers else []
    for pattern, handler in handlers.items():
        for site in match(pattern, sites):
            chains.setdefault(site, []).append(handler)
    holder.__dict__[ATTRIBUTE] = chains
    try:
        with getattr(holder, "hooked", nullcontext)():
            yield model
    finally:
        if before is None:
            del holder.__dict__[ATTRIBUTE]
        else:
            holder.__dict__[ATTRIBUTE] = before

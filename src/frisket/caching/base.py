"""What the `caching` room promises: a cache is a value; mounted on a model it becomes one run's handlers and report.

`with cache.install(model) as report:` works on every model with sites, frisket's or a diffusers one, and leaves no
trace; `Sampler(caches=(cache,))` mounts one for each run. A policy answers *compute, reuse or forecast* for each site
of each forward. Policies and stored values belong to one `Line` (`caching.lines`): the forwards of one run, guidance
branch, call within the step, set of samples and shape; nothing passes from one line to another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from frisket.caching.report import Report
from frisket.core.sites import Handler, install, sited
from frisket.core.step import Step

Verb = Literal["compute", "reuse", "forecast"]


class Policy(Protocol):
    """The decisions of one line. A decision other than "compute" is taken only where a value is stored."""

    def begin(self, step: Step) -> None:
        """A forward begins."""
        ...

    def decide(self, site: str, step: Step) -> Verb:
        """What to do at a site of this forward; sites come in the order of the call."""
        ...

    def see(self, site: str, result: Any, step: Step) -> None:
        """The result of a site that was computed."""
        ...

    def end(self, step: Step) -> None:
        """The forward has ended; what was seen in it may rule the next."""
        ...


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """A cache at work on one model: its handlers (site -> handler), which share one state, and the report they fill."""

    handlers: Mapping[str, Handler]
    report: Report


class Cache(ABC):
    """A registered value ("cache/..."): how a run spares compute."""

    @abstractmethod
    def mount(self, model: Any) -> Mounted:
        """Handlers with a new, empty state for `model`, which lists sites; nothing is put on it yet. Raises
        `FrisketError` if the model lacks the sites that this cache needs."""

    @contextmanager
    def install(self, model: Any) -> Iterator[Report]:
        """Mounted on `model` while the block runs, for any number of runs; the report goes on being filled.

        A frisket model has to be called by a sampler, or inside `use_step`; for a foreign one (a transformer, or a
        pipeline that holds it) steps are found from the times it is called with. Raises as `mount` and `sited` do.
        """
        mounted = self.mount(sited(model))
        with install(model, mounted.handlers):
            yield mounted.report

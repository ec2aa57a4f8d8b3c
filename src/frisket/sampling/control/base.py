"""What attention controls share: a call of two streams, and how to find them in its rows.

A rewording run (`sampling.rewording`) has two streams of b samples: the source, and the target that becomes the edit.
They stand one behind the other in a batch, and each is a branch of its own by name: a plain call has the branches
"source+target", a guided one "source+target+null source+null target". So a handler that keeps a state per branch keeps
the streams apart without knowing of them. Controls are aids of the sampler (`Sampler.caches`); in a run of one stream
they do nothing.
Shapes: b pairs, m words, r rows of a stream in all branches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.core.sites import Handler, match
from frisket.core.step import Step
from frisket.sampling.base import Aid

SOURCE, TARGET = "source", "target"


@dataclass(frozen=True, kw_only=True, eq=False)
class Words:
    """What both captions have in common. alias: for each word of the target the number of the source's word whose
    attention it takes, -1 for a word that keeps its own. emphasis: a factor of each target word's attention."""

    alias: Int[Tensor, "b m"]
    emphasis: Float[Tensor, "b m"] | None = None


@runtime_checkable
class Worded(Protocol):
    """A control that has to know the words."""

    def told(self, words: Words) -> Aid:
        """The control of one run."""
        ...


@dataclass(frozen=True, kw_only=True)
class Handlers:
    """Handlers at work; there is nothing to report."""

    handlers: Mapping[str, Handler]
    report: None = None


def doubled(branch: str) -> str:
    """The name of a guidance branch in a run of two streams."""
    before = "" if branch == "conditional" else f"{branch} "
    return f"{before}{SOURCE}+{before}{TARGET}"


def leaders(step: Step) -> list[int]:
    """For each branch of the call the number of the branch that it follows: a target its source, any other itself."""
    names = step.branch.split("+")
    sources = {name.removesuffix(SOURCE): i for i, name in enumerate(names) if name.endswith(SOURCE)}
    return [
        sources.get(name.removesuffix(TARGET), i) if name.endswith(TARGET) else i for i, name in enumerate(names)
    ]  # fmt: skip


def streams(rows: int, step: Step) -> tuple[Int[Tensor, "r"], Int[Tensor, "r"]] | None:
    """Rows of the sources and of their targets, in the same order, of a call with `rows` rows; None in a call of one
    stream."""
    lead = leaders(step)
    check(rows % len(lead) == 0, "rows", rows, f"a multiple of the {len(lead)} branches {step.branch}")
    numbers = torch.arange(rows, device=step.sample.device).view(len(lead), -1)
    follow = [i for i, source in enumerate(lead) if source != i]
    if not follow:
        return None
    return numbers[[lead[i] for i in follow]].flatten(), numbers[follow].flatten()


def sites_of(model: Any, patterns: tuple[str, ...]) -> list[str]:
    """The sites that the patterns name. Raises `FrisketError` on a pattern that names none."""
    return [site for pattern in patterns for site in match(pattern, model.sites())]


def later(sites: list[str], share: float) -> list[str]:
    """The sites without the first `share` of them."""
    return sites[round(share * len(sites)) :]

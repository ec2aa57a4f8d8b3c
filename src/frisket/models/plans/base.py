"""What the `plans` room promises: a plan is *choose* x *span* x *return*.

A **span** is a run of blocks with a name and a **return**, the part that makes the sequence whole behind it. What a
return owns (a mask token, a side block, a fusion) is built with the model and runs in every pass. A call passes only who
takes part, `keep[span] = ids`; None, or no entry, is everybody. **choose** draws such ids while training.
Shapes: b rows, r rows that take part, n tokens of the sequence, s tokens of the state, m kept tokens, d width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check, unknown
from frisket.core.registry import register
from frisket.core.sites import Dispatch
from frisket.core.step import Step
from frisket.models.attend import Placing
from frisket.models.base import Keep
from frisket.models.layers.base import Side, Sizes
from frisket.models.spans import run_of
from frisket.models.tokens import Tags, Tokens


@dataclass(frozen=True, eq=False, kw_only=True)
class Kept:
    """Who passes through a span. ids: places in the whole sequence, of each row that takes part. rows: those rows, in
    order; None: all."""

    ids: Int[Tensor, "r m"]
    rows: Int[Tensor, "r"] | None = None

    def take(self, tokens: Tokens) -> Tokens:
        """The kept tokens, with their tags."""
        return (tokens if self.rows is None else tokens.rows(self.rows)).take(self.ids)

    def put(self, whole: Shaped[Tensor, "b n d"], part: Shaped[Tensor, "r m d"]) -> Shaped[Tensor, "b n d"]:
        """`whole` with the kept tokens replaced; a tensor of its own."""
        wide = self.ids[..., None].expand(*self.ids.shape, whole.shape[-1])
        part = part.to(whole.dtype)
        if self.rows is None:
            return whole.scatter(1, wide, part)
        return whole.index_copy(0, self.rows, whole[self.rows].scatter(1, wide, part))

    def where(self, b: int, n: int) -> Bool[Tensor, "b n"]:
        """True at kept tokens."""
        none = torch.zeros(b, n, 1, dtype=torch.bool, device=self.ids.device)
        return self.put(none, torch.ones(*self.ids.shape, 1, dtype=torch.bool, device=self.ids.device)).squeeze(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEnd:
    """What a return is given. before: all tokens as they stood in front of the span. inner: those that came out of it,
    None where nobody took part. kept: who they are; None: everybody, in raster order. side, at, positions: of the pass.
    """

    before: Tokens
    inner: Tokens | None
    kept: Kept | None
    side: Side
    at: Dispatch
    positions: Placing | None

    def over(self, whole: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Features of the sequence: those that came out of the span, and `whole` where none did."""
        if self.inner is None:
            return whole
        return self.inner.h if self.kept is None else self.kept.put(whole, self.inner.h)


@runtime_checkable
class Return(Protocol):
    """A registered value ("return/..."). Its module is called as `module(end: SpanEnd)` and gives (b, n, d)."""

    def build(self, sizes: Sizes) -> nn.Module: ...


@runtime_checkable
class Choose(Protocol):
    """A registered value ("choose/...") that draws who passes."""

    def ids(self, tags: Tags, step: Step, purpose: str, noise: Float[Tensor, "b"] | None) -> Tensor | None:
        """int64 (b, m) for state tokens with these tags, a row of -1 where a sample skips the span; None: everybody.
        noise: each row's level t, 0 data and 1 noise. What a batch must agree on (m) comes from `step.shared`."""
        ...

    def counts(self, tags: Tags) -> tuple[tuple[float, int], ...]:
        """How many tokens pass, and how often: (probability, m) pairs. Costs are counted from it."""
        ...


@register("span/blocks")
@dataclass(frozen=True, kw_only=True)
class Span:
    """Blocks [low, high) under a name; numbers below zero count from the end (high = 0 is the end itself), so a plan
    outlives another depth. choose: who passes while training (None: everybody)."""

    name: str = "middle"
    low: int = 1
    high: int = -1
    back: Return
    choose: Choose | None = None

    def __post_init__(self):
        named = self.name.isidentifier()
        check(named, "span.name", self.name, "an identifier (runs without a name are called blocks[i:j])")

    def run(self, depth: int) -> tuple[int, int]:
        """The span's blocks in a model of `depth` blocks. Raises `FrisketError` if there are none."""
        low = self.low + depth if self.low < 0 else self.low
        high = self.high + depth if self.high <= 0 else self.high
        inside = 0 <= low < high <= depth
        check(inside, f"span {self.name!r} (low, high)", (self.low, self.high), f"a run of the {depth} blocks")
        return low, high


@runtime_checkable
class TokenPlan(Protocol):
    """A registered value ("plan/...")."""

    @property
    def spans(self) -> tuple[Span, ...]: ...

    def draw(self, tags: Tags, step: Step, noise: Float[Tensor, "b"] | None = None) -> Keep: ...


class Draws:
    """Gives a plan its `draw`."""

    spans: tuple[Span, ...]

    def draw(self, tags: Tags, step: Step, noise: Float[Tensor, "b"] | None = None) -> Keep:
        """Who passes through each span in one training pass; `tags` are those of the state's tokens."""
        return draw({span.name: span.choose for span in self.spans}, tags, step, noise)


@register("plan/spans")
@dataclass(frozen=True, kw_only=True)
class Plan(Draws):
    """Any spans that do not overlap."""

    spans: tuple[Span, ...] = field(default=())


def draw(
    chooses: Mapping[str, Choose | None], tags: Tags, step: Step, noise: Float[Tensor, "b"] | None = None,
    stream: str = "plan",
) -> Keep:  # fmt: skip
    """`keep` for spans by name; two spans, or two streams, draw different tokens. Spans that everybody passes have no
    entry."""
    drawn = {name: choose.ids(tags, step, f"{stream}/{name}", noise) for name, choose in chooses.items() if choose}
    return {name: ids for name, ids in drawn.items() if ids is not None}


def runs_of(spans: Sequence[Span], depth: int) -> dict[str, tuple[int, int]]:
    """Name -> blocks. Raises `FrisketError` if two spans share a name or a block."""
    names = [span.name for span in spans]
    check(len(set(names)) == len(names), "plan.spans", names, "different names")
    runs = {span.name: span.run(depth) for span in spans}
    _check_apart(runs)
    return runs


def asked(names: Iterable[str], owned: Mapping[str, tuple[int, int]], depth: int) -> dict[str, tuple[int, int]]:
    """Name -> blocks of the spans that a call names: a plan's, or any run `blocks[i:j]` of a model of `depth` blocks.

    Raises `FrisketError` on a name that is neither, and on spans that share a block with each other or with the plan's.
    """
    runs = dict(owned)
    names = tuple(names)
    for name in names:
        run = owned.get(name) or run_of(name)
        if run is None or not 0 <= run[0] < run[1] <= depth:
            raise unknown("span in keep", name, [*owned, f"blocks[0:{depth}]"])
        runs[name] = run
    _check_apart(runs)
    return {name: runs[name] for name in names}


def kept_of(name: str, ids: Tensor, b: int, n: int, state: int) -> Kept | None:
    """Who passes, of the whole sequence: the named state tokens, then all that stand behind the state's. None: nobody.

    Raises `FrisketError` on ids of another shape, outside the state, twice in a row, or missing in part of a row.
    """
    field = f"keep[{name!r}]"
    if ids.ndim != 2 or len(ids) != b or ids.is_floating_point():
        raise FrisketError(f"{field} is {ids.dtype} of shape {tuple(ids.shape)}; it must be integers ({b}, m)")
    if ids.shape[1] == 0:
        return None
    if ids.is_meta:
        return Kept(ids=_with_rest(ids, n, state))
    ordered = ids.sort(1).values
    skips = ordered[:, -1] < 0
    wrong = (ordered[:, -1] >= state) | ((ordered[:, 0] < 0) != skips) | (ordered[:, 0] < -1)
    wrong |= ~skips & (ordered[:, 1:] == ordered[:, :-1]).any(1)
    bad, some = torch.stack([wrong.any(), skips.any()]).tolist()
    if bad:
        raise FrisketError(
            f"{field} must hold, in each row, different tokens in [0, {state}), or -1 throughout to skip the span"
        )
    rows = (~skips).nonzero().squeeze(1) if some else None
    if rows is not None and len(rows) == 0:
        return None
    return Kept(ids=_with_rest(ids if rows is None else ids[rows], n, state), rows=rows)


def _with_rest(ids: Tensor, n: int, state: int) -> Tensor:
    if n == state:
        return ids
    rest = torch.arange(state, n, device=ids.device)
    return torch.cat([ids, rest.expand(len(ids), -1)], 1)


def _check_apart(runs: Mapping[str, tuple[int, int]]) -> None:
    held = list(runs.items())
    for k, (name, run) in enumerate(held):
        for other, second in held[k + 1 :]:
            if max(run[0], second[0]) < min(run[1], second[1]):
                raise FrisketError(f"spans {name!r} and {other!r} share blocks; token spans must lie apart")

"""Token merging: similar tokens go through attention as one, and come back as copies of its result.

Bipartite soft matching (ToMe, arXiv 2210.09461; its form for diffusion, 2303.17604; facts from dbolya/tomesd): one
token of every cell is a destination, each other one finds the destination most like it (cosine), and the best `share`
of all tokens are averaged into theirs. tomesd draws the destination within its cell; here it is the cell's first token,
its `no_rand` setting. The matching reads the features that enter the attention branch. The target stream of an edit
(`sampling.rewording`) takes its source's matching: keys and values of one must line up with the other's.
Shapes: b batch, n tokens, m tokens left, d width, r merged tokens, c destinations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from frisket.caching.base import Cache, Mounted
from frisket.caching.report import Report
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.sites import match
from frisket.core.step import Step
from frisket.models.tokens import Tags, Tokens, gather
from frisket.sampling.control.base import leaders

CITE = "Bolya et al. Token Merging: Your ViT But Faster. 2022. arXiv:2210.09461"


@dataclass(frozen=True, eq=False)
class Matching:
    """left: numbers of the tokens that go on (b, m), destinations last. merged (b, r): those averaged into `into`
    (b, r), places in `left`. n: of all tokens."""

    left: Int[Tensor, "b m"]
    merged: Int[Tensor, "b r"]
    into: Int[Tensor, "b r"]
    n: int

    def merge(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b m d"]:
        """The tokens left, each destination the mean of itself and what is merged into it."""
        out = gather(x, self.left)
        index = self.into[..., None].expand(*self.into.shape, x.shape[-1])
        return out.scatter_reduce(1, index, gather(x, self.merged), "mean", include_self=True)

    def unmerge(self, x: Float[Tensor, "b m d"]) -> Float[Tensor, "b n d"]:
        """Each token's own result; a merged token gets its destination's."""
        out = x.new_empty(len(x), self.n, x.shape[-1])
        for ids, values in ((self.left, x), (self.merged, gather(x, self.into))):
            out = out.scatter(1, ids[..., None].expand(*ids.shape, x.shape[-1]), values)
        return out

    @property
    def sizes(self) -> Float[Tensor, "b m"]:
        """How many tokens each one stands for."""
        one = torch.ones(self.left.shape, device=self.left.device)
        return one.scatter_add(1, self.into, torch.ones(self.into.shape, device=self.into.device))


def destinations(coords: Float[Tensor, "n a"], cell: int) -> Int[Tensor, "c"]:
    """The first token of every cell of `cell` tokens a side."""
    return (coords.long() % cell == 0).all(-1).nonzero()[:, 0]


def matched(metric: Float[Tensor, "b n d"], to: Int[Tensor, "c"], count: int) -> Matching:
    """The `count` tokens most like some token of `to`, which they are merged into; at most all others."""
    b, n, _ = metric.shape
    others = torch.ones(n, dtype=torch.bool, device=metric.device)
    others[to] = False
    source = others.nonzero()[:, 0]
    count = min(count, len(source))
    like, nearest = (normalize(metric[:, source], dim=-1) @ normalize(metric[:, to], dim=-1).mT).max(-1)
    order = like.argsort(dim=-1, descending=True, stable=True)
    merged, stay = source[order[:, :count]], source[order[:, count:].sort(dim=-1).values]
    into = stay.shape[1] + nearest.gather(1, order[:, :count])
    return Matching(torch.cat([stay, to.expand(b, -1)], 1), merged, into, n)


@register("cache/token-merging", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class TokenMerging(Cache):
    """share: of the tokens that are merged, in [0, 1); 0 is the plain run bit for bit, and no more than all but one token
    of a cell can be. cell: side of the cells. sites: branches around which tokens are merged. weigh: how a merged token
    counts as a key: "size" as the tokens it stands for, "one" as one (tomesd)."""

    share: float = 0.5
    cell: int = 2
    sites: tuple[str, ...] = ("block[:].attn",)
    weigh: str = "one"

    def __post_init__(self):
        check(0 <= self.share < 1, "merging.share", self.share, "in [0, 1)")
        check(self.cell >= 1, "merging.cell", self.cell, "at least 1")
        check(self.weigh in ("one", "size"), "merging.weigh", self.weigh, "'one' or 'size'")

    def mount(self, model: Any) -> Mounted:
        sites = [site for pattern in self.sites for site in match(pattern, model.sites())]
        state = _State(self, Report())
        handlers: dict[str, Any] = {site: partial(state.branch, site) for site in sites}
        if self.weigh == "size":
            handlers |= {f"{site}.attend": partial(state.attend, site) for site in sites}
        return Mounted(handlers=handlers, report=state.report)

    def matching(self, tokens: Tokens, step: Step) -> Matching | None:
        """How the tokens are merged; None where nothing is. Tokens that are not read out (in-sequence conditions) are
        never merged. Raises `FrisketError` on tokens without places."""
        places, lead = _places(tokens.tags), leaders(step)
        count = round(self.share * len(places))
        if count == 0:
            return None
        check(len(tokens.h) % len(lead) == 0, "rows", len(tokens.h), f"a multiple of the branches {step.branch}")
        metric = tokens.h.unflatten(0, (len(lead), -1))[lead].flatten(0, 1)[:, : len(places)]
        return _with_rest(matched(metric, destinations(places, self.cell), count), tokens.tags.n)


@dataclass
class _State:
    """held: the matching of each site's call that is running."""

    config: TokenMerging
    report: Report

    def __post_init__(self):
        self.held: dict[str, Matching] = {}

    def branch(self, site: str, call: Callable[..., Tensor], args: tuple[Any, ...], step: Step) -> Tensor:
        """The branch on fewer tokens."""
        (tokens,) = args
        made = self.config.matching(tokens, step)
        if made is None:
            return call(*args)
        self.held[site] = made
        try:
            out = call(Tokens(made.merge(tokens.h), tokens.tags.take(made.left)))
        finally:
            del self.held[site]
        return made.unmerge(out)

    def attend(self, site: str, call: Callable[..., Tensor], args: tuple[Any, ...], step: Step) -> Tensor:
        """Keys weighed by how many tokens they stand for."""
        if site not in self.held:
            return call(*args)
        q, k, v, q_tags, k_tags, mask, positions, *rest = args
        return call(q, k, v, q_tags, k_tags, mask, _Weighed(positions, self.held[site].sizes.log()), *rest)


@dataclass(frozen=True)
class _Weighed:
    """Positions with a bias a key: the logarithm of its size."""

    inner: Any
    log_size: Tensor

    def place(self, q: Tensor, k: Tensor, q_tags: Tags, k_tags: Tags) -> tuple[Tensor, Tensor, Tensor]:
        bias = None
        if self.inner is not None:
            q, k, bias = self.inner.place(q, k, q_tags, k_tags)
        own = self.log_size[:, None, None].to(q.dtype).expand(-1, 1, q.shape[2], -1)
        return q, k, own if bias is None else bias + own


def _places(tags: Tags) -> Float[Tensor, "n a"]:
    """Coordinates of the state's own tokens, which come first."""
    if tags.coords is None:
        raise FrisketError("tokens to merge have no coords; merging needs tokens that know their places")
    coords = tags.coords if tags.coords.ndim == 2 else tags.coords[0]
    if tags.read is None:
        return coords
    read = tags.read if tags.read.ndim == 1 else tags.read[0]
    return coords[: int(read.sum())]


def _with_rest(made: Matching, n: int) -> Matching:
    """The matching of all n tokens, those behind the matched ones as they are."""
    more = n - made.n
    if more == 0:
        return made
    rest = torch.arange(made.n, n, device=made.left.device).expand(len(made.left), -1)
    return Matching(torch.cat([made.left, rest], 1), made.merged, made.into, n)

"""Which steps compute anew: the list that loses least similarity, by dynamic programming.

DDT (arXiv 2504.05741; facts from MCG-NJU/DDT sharing_sampling.py): a full run gives what the encoder makes at each step;
going on with step j's result at step l costs one minus their cosine, the mean over tokens and samples. The sum over all
steps is least for one list of K steps beginning with 0, found exactly in O(K N^2). The official code draws eight noises
and random classes as templates; here they are the first samples of a seed, classes in turn.
Shapes: n steps, r rows of templates, m tokens, d width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.caching.listed import Listed
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.sites import install
from frisket.core.step import Step
from frisket.data.base import Data
from frisket.models.encoders import CITE, SITE
from frisket.sampling.pipeline import Pipeline


def similarity(values: Sequence[Float[Tensor, "r m d"]]) -> Float[Tensor, "n n"]:
    """The mean cosine between every two steps' results, float64."""
    flat = torch.stack([torch.nn.functional.normalize(v.double().flatten(0, 1), dim=-1) for v in values])  # (n, r m, d)
    return torch.einsum("iad,jad->ij", flat, flat) / flat.shape[1]


def cost(similar: Float[Tensor, "n n"], steps: Sequence[int]) -> float:
    """What is lost in a run that computes at `steps` only: the sum over all steps of one minus the similarity to the
    last that was computed."""
    ends = [*steps[1:], len(similar)]
    return float(sum((1 - similar[low:high, low]).sum() for low, high in zip(steps, ends, strict=True)))


def cheapest(similar: Float[Tensor, "n n"], count: int) -> tuple[int, ...]:
    """The `count` steps, 0 among them, that cost least; of equal ones the earliest. Raises `FrisketError` unless
    1 <= count <= n."""
    n = len(similar)
    check(1 <= count <= n, "count", count, f"between 1 and {n}, the steps")
    lost = [[0.0] * n, *(1 - similar).double().cumsum(0).tolist()]  # lost[i][j]: steps 0 ... i - 1 served by j
    span = [[lost[i][j] - lost[j][j] for j in range(n)] for i in range(n + 1)]  # steps j, ..., i - 1 alone
    best = [0.0, *(span[i][0] for i in range(1, n + 1))]
    froms: list[list[int]] = [[0] * (n + 1)]
    for k in range(2, count + 1):
        choice = [min(range(k - 1, i), key=lambda j, i=i: best[j] + span[i][j], default=0) for i in range(n + 1)]
        best = [best[j] + span[i][j] if i >= k else float("inf") for i, j in enumerate(choice)]
        froms.append(choice)
    steps = [n]
    for choice in reversed(froms):
        steps.append(choice[steps[-1]])
    return tuple(reversed(steps[1:]))


@torch.no_grad()
def results_of(pipeline: Pipeline, site: str, n: int, seed: int) -> list[Float[Tensor, "r m d"]]:
    """What `site` gives at each step of a full run of n samples. Where guidance is off at some steps, only the rows
    that are there at all of them. Raises `FrisketError` if the model lacks the site or calls it more than once a step."""
    seen: dict[int, Tensor] = {}

    def keep(call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        out = call(*args)
        if step.index in seen:
            raise FrisketError(f"{site} is called more than once a step; a list of steps cannot tell the calls apart")
        seen[step.index] = out.detach()
        return out

    with install(pipeline.model, {site: keep}):
        for _ in pipeline.snapshots(n, seed=seed, caches=(), **pipeline.in_turn(n)):
            pass
    rows = min(len(v) for v in seen.values())
    return [seen[i][:rows] for i in sorted(seen)]


@register("prepare/refresh", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Refresh:
    """Gives the pipeline's sampler a `cache/listed` of `count` steps chosen for it. site: whose result is shared.
    templates: samples of the full run that is looked at."""

    count: int = 1
    site: str = SITE
    templates: int = 8

    def __post_init__(self):
        check(self.count >= 1, "prepare.count", self.count, "at least 1")
        check(self.templates >= 1, "prepare.templates", self.templates, "at least 1")

    def apply(self, pipeline: Pipeline, data: Data, needs: Mapping[str, Pipeline], seed: int) -> Pipeline:
        """The same pipeline; the cache stands behind the sampler's others."""
        similar = similarity(results_of(pipeline, self.site, self.templates, seed))
        steps = cheapest(similar, self.count)
        cache = Listed(steps=steps, total=len(similar), sites=(self.site,))
        pipeline.sampler = replace(pipeline.sampler, caches=(*pipeline.sampler.caches, cache))
        return pipeline

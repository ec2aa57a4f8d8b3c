"""Taps: what a block of the model gives during the training pass, read where it passes by.

Inside a span of a token plan a block sees only the tokens that were kept; a tap gives these and says which they are, so
that an objective compares them with the same tokens of something whole. Where whole samples skip the span there is
nothing to read for them, so such a block is refused.
Shapes: b batch, n tokens of the state, m tokens present, d width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.sites import Handler
from frisket.core.state import empty
from frisket.models.numbering import blocks_of
from frisket.models.plans.base import Choose
from frisket.models.spans import run_of
from frisket.models.tokens import Tokens, gather
from frisket.sampling.pipeline import Pipeline


def tap(site: str, taps: dict[str, Any]) -> Handler:
    """A handler that notes what its site returns, under the site's name."""

    def handle(call, args, step):
        taps[site] = call(*args)
        return taps[site]

    return handle


def site_of(model: nn.Module, block: int, field: str) -> str:
    """The site of a block by its number, from 0, or below 0 from the end. Raises `FrisketError` if there is none."""
    depth = len(blocks_of(model))
    check(-depth <= block < depth, field, block, f"the number of one of the model's {depth} blocks, from 0")
    return f"block[{block % depth}]"


def number_of(site: str) -> int:
    """The block whose site this is."""
    return int(site.removeprefix("block[").removesuffix("]"))


def token_count(pipeline: Pipeline) -> int:
    """Tokens of one state. Raises `FrisketError` on a model that does not describe its tokens."""
    model: Any = pipeline.model
    if not hasattr(model, "tags"):
        raise FrisketError(f"{type(model).__name__} does not describe its tokens, so they cannot be aligned")
    return model.tags(empty(pipeline.spec.shapes)).n


def state_tokens(tokens: Tokens, count: int) -> tuple[Float[Tensor, "b m d"], Int[Tensor, "b m"] | None]:
    """The tokens of the state among those that were read, and which of the `count` they are; None: all, in order.

    What came in-sequence with them (conditions, references) stands behind and is left out.
    """
    if tokens.tags.index is None:
        return tokens.h[:, :count], None
    index = tokens.tags.batched("index", len(tokens.h), tokens.h.device)
    present = int((index[0] < count).sum())
    return tokens.h[:, :present], index[:, :present]


def same_tokens(whole: Float[Tensor, "b n d"], ids: Int[Tensor, "b m"] | None) -> Float[Tensor, "b m d"]:
    """The tokens `ids` of a whole sequence; None: all."""
    return whole if ids is None else gather(whole, ids)


def check_sites(pipeline: Pipeline, sites: Sequence[str], chooses: Mapping[str, Choose]) -> None:
    """Raise `FrisketError` if one of the `sites` lies in a span that some samples skip as a whole while training."""
    if not sites or not chooses:
        return
    model: Any = pipeline.model
    tags, depth = model.tags(empty(pipeline.spec.shapes)), len(blocks_of(model))
    named = model.plan.runs(depth) if hasattr(model, "plan") else {}
    for name, choose in chooses.items():
        low, high = named.get(name) or run_of(name) or (0, depth)  # what is neither is the run of all, blocks[:]
        skipped = any(chance > 0 and passing == 0 for chance, passing in choose.counts(tags))
        inside = [site for site in sites if any(site == f"block[{i}]" for i in range(low, high))]
        if skipped and inside:
            raise FrisketError(
                f"an objective reads {inside[0]}, inside the span {name!r} (blocks {low} to {high - 1}), which whole "
                f"samples skip; read a block outside it, or choose who passes without choose/skip"
            )

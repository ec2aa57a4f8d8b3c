"""How good a masked model's text is when several characters are revealed at once, and what revealing them at once cost.

judged_bits asks an independent model (characters counted in the training text, `data/witten_bell`); real held-out text
is its level to reach, and lower is not better without end. parallel_bits is exact and needs no judge: what a move
reveals is drawn independently given what was visible, so the sampler's own law of a text is the product of those
chances, and the model read one place at a time in the same order gives another. Their mean log ratio is the divergence
between both laws, which is what independent drawing costs (the total correlation of arXiv 2506.19037, section 3). It
holds for decoders that propose at temperature 1 and choose places without looking at the draw.
Shapes: b samples, n tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.data.witten_bell import counted
from frisket.evaluation.orderings import order_nats
from frisket.sampling.decoding.adaptive import EntropyBound
from frisket.sampling.decoding.commits import Lock
from frisket.sampling.decoding.decoder import Ancestral, Ordered
from frisket.sampling.decoding.dilated import DilatedSizes, Tied
from frisket.sampling.decoding.orders import Confidence
from frisket.sampling.decoding.proposals import Categorical
from frisket.sampling.decoding.selects import Bernoulli, Budget
from frisket.sampling.hiding import hidden_of
from frisket.sampling.pipeline import Pipeline

BATCH = 64
REPLAYED = 64  # samples whose cost of parallel drawing is computed; each takes a forward a token
BLIND = (Budget, Bernoulli, Tied, DilatedSizes, EntropyBound)  # selects that do not look at the drawn ids


@dataclass(frozen=True, kw_only=True)
class Writing:
    """state: samples (b, n). move: in which move each place was revealed. nats: -log of the chance with which its id
    was drawn then, at temperature 1. forwards: of all samples together."""

    state: Int[Tensor, "b n"]
    move: Int[Tensor, "b n"]
    nats: Float[Tensor, "b n"]
    forwards: int


@register("score/written")
@dataclass(frozen=True, kw_only=True)
class Written:
    """judged_bits: bits a character of n samples under the judge. parallel_bits: cost of drawing in parallel, bits a
    character, on up to 64 of them. forwards: forwards a sample."""

    gives: ClassVar[tuple[str, ...]] = ("judged_bits", "parallel_bits", "forwards")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """Raises `FrisketError` on data that are no text, and on a decoder whose law is not the product of its moves."""
        check_blind(pipeline)
        made = write(pipeline, n, seed)
        return {
            "judged_bits": judged_bits(data, pipeline.decode(made.state)),
            "parallel_bits": parallel_bits(pipeline, made),
            "forwards": made.forwards / n,
        }


def check_blind(pipeline: Pipeline) -> None:
    """Raise `FrisketError` unless the places a move reveals do not depend on the ids drawn in it, and ids are drawn one
    by one at temperature 1 and stay."""
    if getattr(pipeline.coder, "pieces", 1) > 1:
        raise FrisketError("parallel_bits needs ids that are drawn one by one; this codec spells a symbol in several")
    update = pipeline.sampler.update
    fits = isinstance(update, Ancestral)
    if isinstance(update, Ordered):
        seen = any(isinstance(order, Confidence) for order in update.orders)
        fits = isinstance(update.select, BLIND) and not seen
    drawn = getattr(update, "proposal", None) == Categorical() and getattr(update, "commit", None) == Lock()
    if not fits or not drawn:
        raise FrisketError(
            "parallel_bits needs a decoder that draws at temperature 1, keeps what it draws and chooses places without "
            f"looking at the draw; the sampler's is {update}"
        )


def judged_bits(data: Data, texts: list[str]) -> float:
    """Bits a character of `texts` under the n-gram model of the set's training text."""
    learnt = getattr(data.open("train"), "text", None)
    if learnt is None:
        raise FrisketError(f"{type(data).__name__} holds no running text to count characters in")
    return counted(learnt).bits(texts)


def write(pipeline: Pipeline, n: int, seed: int) -> Writing:
    """n samples of the pipeline's own sampler, with when and how surely each place was revealed."""
    parts = [_batch(pipeline, min(BATCH, n - low), seed, low) for low in range(0, n, BATCH)]
    columns = ((part.state, part.move, part.nats) for part in parts)
    state, move, nats = (torch.cat(column) for column in zip(*columns, strict=True))
    return Writing(state=state, move=move, nats=nats, forwards=sum(part.forwards for part in parts))


def _batch(pipeline: Pipeline, count: int, seed: int, first: int) -> Writing:
    shots = pipeline.snapshots(count, seed=seed, first=first)
    x = next(shots).x
    move = torch.full(x.flatten(1).shape, -1, dtype=torch.int64, device=x.device)
    nats, forwards = torch.zeros(move.shape, dtype=torch.float64, device=x.device), 0
    for shot in shots:
        before, after = (hidden_of(pipeline.process, state).flatten(1) for state in (x, shot.x))
        rows = (before & ~after).any(1)  # a row that reveals nothing makes no forward
        if bool(rows.any()):
            assert shot.estimate is not None
            assert shot.estimate.logits is not None
            logits = shot.estimate.logits.flatten(1, -2)
            drawn = shot.x.flatten(1)[rows].masked_fill(after[rows], 0)
            log_p = torch.log_softmax(logits.to(torch.float64), -1).gather(-1, drawn[..., None])[..., 0]
            fresh = (before & ~after)[rows]
            nats[rows] = torch.where(fresh, -log_p, nats[rows])
            move[rows] = torch.where(fresh, torch.full_like(move[rows], shot.index - 1), move[rows])
        x, forwards = shot.x, shot.forwards
    return Writing(state=x, move=move, nats=nats, forwards=forwards)


def parallel_bits(pipeline: Pipeline, made: Writing) -> float:
    """Mean of log q - log p in bits a place, over the first samples: q what the moves drew with, p the model one place at
    a time, by moves and within a move from left to right."""
    state, move, nats = made.state[:REPLAYED], made.move[:REPLAYED], made.nats[:REPLAYED]
    n = move.shape[1]
    order = (move * n + torch.arange(n, device=move.device)).argsort(1)
    pipeline.model.eval()

    def predict(x: Tensor, t: Tensor):
        return pipeline.model(x, pipeline.process.model_time(t), None)

    alone = order_nats(predict, pipeline.process, state, order)
    return float((alone - nats).mean()) / math.log(2)

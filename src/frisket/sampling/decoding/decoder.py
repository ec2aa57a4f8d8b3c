"""Decoders of masked processes: hidden ids are proposed, ordered, selected and committed, move by move.

`decoder/ancestral` is the exact reverse step of masked diffusion (arXiv 2406.07524, 2406.04329). Its choice of places
does not look at the prediction, so places are chosen first and only rows that reveal something run the model: the
saving of MDLM's prediction cache, per row, and exact also for models that are fed the time. `decoder/ordered` is the
family of MaskGIT (arXiv 2202.04200). Either way a visible id never changes unless the commit hides it again, known ids
never do, and at s = 0 nothing is hidden. Shapes: b batch, r rows that run the model, n tokens (the grid flattened), k
vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from frisket.core.registry import register
from frisket.sampling.base import Moment
from frisket.sampling.decoding.commits import Commit, Lock
from frisket.sampling.decoding.orders import Order, Proposed, Random
from frisket.sampling.decoding.proposals import Categorical, Proposal
from frisket.sampling.decoding.selects import Bernoulli, Budget, Hidden, Select
from frisket.sampling.hiding import hidden_of, hidden_share, hide

CITE_MASKGIT = "Chang et al. MaskGIT: Masked Generative Image Transformer. 2022. arXiv:2202.04200"
CITE_MDLM = "Sahoo et al. Simple and Effective Masked Diffusion Language Models. 2024. arXiv:2406.07524"

FIRST = "decoder/first"


@register("decoder/ordered", cite=CITE_MASKGIT)
@dataclass(frozen=True, kw_only=True)
class Ordered:
    """proposal: an id for each hidden place. orders: scores, summed. select: how many. commit: whether they stay."""

    proposal: Proposal = field(default_factory=Categorical)
    orders: tuple[Order, ...] = (Random(),)
    select: Select = field(default_factory=Budget)
    commit: Commit = field(default_factory=Lock)

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        return decode(x, t, s, at, self)


@register("decoder/ancestral", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class Ancestral:
    """The exact reverse step: each hidden token is revealed by itself with the schedule's chance."""

    proposal: Proposal = field(default_factory=Categorical)
    commit: Commit = field(default_factory=Lock)

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        return decode(x, t, s, at, Ordered(proposal=self.proposal, orders=(), select=Bernoulli(), commit=self.commit))


def decode(x: Tensor, t: Tensor, s: Tensor, at: Moment, parts: Ordered) -> Tensor:
    """One move of ids x (b, *grid) from t to s."""
    last = bool((s <= 0).all())
    where, now = _standing(x, t, s, at, parts)
    active = now.now.any(1) if last else parts.select.active(now) & now.now.any(1)
    x = hide(at.process, x, where.reshape(x.shape))
    if not bool(active.any()):
        return x
    rows = active.nonzero()[:, 0]
    few = len(rows) < len(x)
    here = now.rows(rows) if few else now
    estimate = at.evaluate(x[rows], t[rows], rows) if few else at.evaluate(x, t)
    assert estimate.logits is not None
    logits = estimate.logits.flatten(1, -2)  # (r, n, k)
    if estimate.joint is None:
        ids = parts.proposal.propose(logits, here.step)
    else:  # ids that are predicted together are drawn together
        symbols = parts.proposal.propose(estimate.joint.flatten(1, -2), here.step)
        ids = at.process.spelled(symbols, tuple(x.shape[1:])).flatten(1)  # type: ignore[attr-defined]
    revealed = here.now if last else _selected(parts, logits, ids, here, at)
    x = x.clone()
    x[rows] = torch.where(revealed.reshape(len(rows), *x.shape[1:]), ids.reshape(len(rows), *x.shape[1:]), x[rows])
    return x


def _standing(x: Tensor, t: Tensor, s: Tensor, at: Moment, parts: Ordered) -> tuple[Tensor, Hidden]:
    """What is hidden again in this move (b, n), and where all rows stand with that."""
    share_t, share_s = (hidden_share(at.process, v.to(torch.float64)) for v in (t, s))
    hidden = hidden_of(at.process, x).flatten(1)
    rate = parts.commit.rate(share_t, share_s)
    again = torch.zeros_like(hidden)
    if bool((rate > 0).any()):
        known = torch.zeros_like(x, dtype=torch.bool) if at.known is None else at.known.where.expand(x.shape)
        u = at.step.draw("decoder/commit", (hidden.shape[1],), "uniform")
        again = ~hidden & ~known.flatten(1) & (u < rate[:, None])
    if FIRST not in at.memory:
        at.memory[FIRST] = hidden.sum(1) / share_t.clamp(min=1e-12)
    now = hidden | again if parts.select.reconsiders else hidden
    first = at.memory[FIRST]
    return again, Hidden(now=now, first=first, share_t=share_t, share_s=share_s, rate=rate, s=s, step=at.step)


def _selected(parts: Ordered, logits: Tensor, ids: Tensor, here: Hidden, at: Moment) -> Tensor:
    log_p = torch.log_softmax(logits.to(torch.float64), dim=-1)
    proposed = Proposed(log_p=log_p, ids=ids, hidden=here.now, s=here.s, step=here.step, model=at.model)
    scores = torch.zeros_like(log_p[..., 0])
    for order in parts.orders:
        scores = scores + order.score(proposed)
    scores = scores.masked_fill(~here.now, -torch.inf)
    return parts.select.choose(here, scores, proposed)

"""What masked processes share: an element becomes the mask id by the schedule's chance and never changes otherwise.

Source: the absorbing chains of D3PM 2107.03006 and their continuous limit, MDLM 2406.07524 and MD4 2406.04329. Left
open: the network's vocabulary; here it reads k + 1 ids, the mask id being k, and puts out k logits, one a real symbol,
or k + 1, of which the last, the mask's own, is cut off wherever symbols are asked for.
Shapes: b batch, `*g` the grid of ids, k real symbols.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError, check
from frisket.core.step import Step
from frisket.processes.base import Corrupted, Estimate, expand
from frisket.processes.known import Known
from frisket.processes.model_times import ModelTime, Unit
from frisket.processes.schedules import LogLinear, Schedule

TINY = 1e-12  # keeps quotients finite where their factor is 0
NEVER = -1e6  # log probability of what cannot be; finite, so that p log p is 0 and not nan
Predict = Callable[[Tensor, Tensor], Output]


@dataclass(frozen=True, kw_only=True)
class Absorbing(ABC):
    """vocabulary: number k of real symbols; 0 until `fit` or the caller gives it. time: what the network is fed (a
    network without time ignores it)."""

    vocabulary: int = 0
    schedule: Schedule = field(default_factory=LogLinear)
    time: ModelTime = field(default_factory=Unit)

    @abstractmethod
    def outputs(self, channels: int) -> int:
        """The number of logits that the network must put out."""

    @abstractmethod
    def estimate(self, output: Output, x_t: Int[Tensor, "b *g"], t: Tensor) -> Estimate:
        """What a prediction says about x_t: see `Estimate`."""

    @property
    def mask_id(self) -> int:
        """The id of a hidden element: one past the last real symbol. Raises while the vocabulary is not known."""
        return known_vocabulary(self.vocabulary)

    def model_time(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.time.of(t, self.schedule)

    def noise(self, shape: tuple[int, ...], step: Step) -> Float[Tensor, "b ..."]:
        return lattice(shape, step)

    def hide(self, x: Int[Tensor, "b *g"], where: Bool[Tensor, "b *g"]) -> Int[Tensor, "b *g"]:
        """x with the mask id where True."""
        return x.masked_fill(where, self.mask_id)

    def corrupted(
        self, x0: Int[Tensor, "b *g"], hidden: Bool[Tensor, "b *g"], t: Float[Tensor, "b"], local: Tensor,
        noise: Tensor, known: Known | None,
    ) -> Corrupted:  # fmt: skip
        """The record of a state in which `hidden` is hidden, except what is known."""
        return concealed(x0, hidden, t, local, noise, known, self.mask_id)

    def prior(self, noise: Tensor) -> Int[Tensor, "b *g"]:
        """Everything hidden, in the shape of the noise."""
        return all_hidden(noise, self.mask_id)

    def renoise(
        self, x: Int[Tensor, "b *g"], t: Float[Tensor, "b ..."], s: Float[Tensor, "b ..."], noise: Tensor
    ) -> Int[Tensor, "b *g"]:
        """Hide visible elements of x at t with probability (m(s) - m(t)) / (1 - m(t)), so that it is a state at s."""
        now, later = self.schedule.hidden(t), self.schedule.hidden(s)
        chance = ((later - now) / (1 - now).clamp(min=TINY)).clamp(0, 1)
        return self.hide(x, noise.to(torch.float64) < expand(chance, x))

    def reveal_chance(self, t: Float[Tensor, "..."], s: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The probability that an element hidden at t is visible at s <= t: (m(t) - m(s)) / m(t)."""
        now, later = self.schedule.hidden(t), self.schedule.hidden(s)
        return ((now - later) / now.clamp(min=TINY)).clamp(0, 1)


def known_vocabulary(vocabulary: int) -> int:
    """The vocabulary. Raises `FrisketError` while it is 0, not yet known."""
    if vocabulary < 1:
        raise FrisketError("process.vocabulary = 0: give the number of symbols, or fit(vocabulary)")
    return vocabulary


def lattice(shape: tuple[int, ...], step: Step) -> Float[Tensor, "b ..."]:
    """Uniform on the lattice of 2^-24 in [0, 1): float32 holds it exactly and never rounds up to 1, so an element is
    hidden with probability m to within 2^-24, and surely at m = 1."""
    return ((step.draw("noise", shape, "uniform") * 2**24).floor() * 2.0**-24).to(torch.float32)


def concealed(
    x0: Int[Tensor, "b *g"], hidden: Bool[Tensor, "b *g"], t: Float[Tensor, "b"], local: Tensor, noise: Tensor,
    known: Known | None, mask_id: int,
) -> Corrupted:  # fmt: skip
    """The record of a state in which `hidden` is hidden, except what is known."""
    if known is not None:
        hidden = hidden & ~known.where
        x0 = known.impose(x0)
    x_t = x0.masked_fill(hidden, mask_id)
    return Corrupted(x_t=x_t, x0=x0, noise=noise, t=t, local=local, known=known, hidden=hidden)


def all_hidden(noise: Tensor, mask_id: int) -> Int[Tensor, "b *g"]:
    """Ids that hide everything, in the shape of the noise."""
    return torch.full(noise.shape, mask_id, dtype=torch.int64, device=noise.device)


def separate(pred: Float[Tensor, "b *g s"], x_t: Int[Tensor, "b *g"], k: int) -> Estimate:
    """Normalised log probabilities (b, *g, k), float32: the network's over the real symbols where x_t is hidden, x_t's
    own symbol with probability 1 elsewhere (all other symbols at -1e6)."""
    return Estimate(logits=copied(symbols(pred, x_t, k), x_t))


def symbols(pred: Float[Tensor, "b *g s"], x: Int[Tensor, "b *g"], k: int) -> Float[Tensor, "b *g k"]:
    """Log probabilities over the k real symbols, float32, whether the network has a logit for the mask or not."""
    if pred.shape[:-1] != x.shape or pred.shape[-1] not in (k, k + 1):
        raise FrisketError(f"logits of shape {tuple(pred.shape)} do not fit ids {tuple(x.shape)} and {k} symbols")
    return torch.log_softmax(pred[..., :k].to(torch.float32), dim=-1)


def copied(logp: Float[Tensor, "b *g k"], x: Int[Tensor, "b *g"]) -> Float[Tensor, "b *g k"]:
    """`logp` where x is hidden; certainty of x's own symbol where it is visible."""
    hidden = x == logp.shape[-1]
    own = torch.full_like(logp, NEVER).scatter_(-1, x.masked_fill(hidden, 0)[..., None], 0.0)
    return torch.where(hidden[..., None], logp, own)


def counted(c: Corrupted, valid: Bool[Tensor, "b ..."] | None) -> Bool[Tensor, "b *g"]:
    """What a loss is averaged over: valid, not known, and not clean by a clock. Raises `FrisketError` on a gaussian
    state."""
    if c.hidden is None:
        raise FrisketError("corrupted.hidden is None; it must come from a masked process")
    counts = torch.ones_like(c.hidden)
    if c.local.ndim > 1:
        counts = counts & (c.local > 0)
    if c.known is not None:
        counts = counts & ~c.known.where
    return counts if valid is None else counts & valid


def open_elements(
    x0: Int[Tensor, "b *g"], known: Known | None, valid: Bool[Tensor, "b *g"] | None
) -> Bool[Tensor, "b *g"]:
    """What a bound is about: valid and not known."""
    open_ = torch.ones_like(x0, dtype=torch.bool)
    open_ = open_ if known is None else open_ & ~known.where
    return open_ if valid is None else open_ & valid


def lowest(order: Float[Tensor, "b *g"], open_: Bool[Tensor, "b *g"], count: Int[Tensor, "b"]) -> Bool[Tensor, "b *g"]:
    """True at the `count` open elements of each row that come first in `order`, whose numbers are below 2."""
    rank = order.masked_fill(~open_, 2.0).flatten(1).argsort(1).argsort(1).reshape(open_.shape)
    return (rank < expand(count, rank)) & open_


def check_vocabulary(vocabulary: int) -> None:
    check(vocabulary >= 0, "process.vocabulary", vocabulary, "at least 1 (0 = not yet known)")


def check_ids(x0: Tensor) -> None:
    check(not x0.is_floating_point(), "x0.dtype", x0.dtype, "an integer type: a grid of ids")

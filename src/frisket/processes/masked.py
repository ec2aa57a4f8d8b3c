"""Masked corruption of ids: each element is hidden with probability m(t) and a network says what it was.

Sources: MDLM 2406.07524 (the SUBS form: never the mask, visible elements copied; eq. for continuous time with weight
m' / m) and MD4 2406.04329. Official diffusion.py of kuleshov-group/mdlm was read for facts. Left open: the network's
vocabulary; here it puts out k logits, one a real symbol, and reads k + 1 ids, the mask id being k. A network that puts
out k + 1 (official MDLM) has the last cut off, which is the same as sending it to minus infinity.
Shapes: b batch, `*g` the grid of ids, k real symbols.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.processes.base import Corrupted, Estimate, expand, mean_over
from frisket.processes.clocks import Clock, Global
from frisket.processes.densities import Density, Uniform
from frisket.processes.hidden_weights import Bound, HiddenWeight
from frisket.processes.known import Known
from frisket.processes.model_times import ModelTime, Unit
from frisket.processes.schedules import LogLinear, Schedule

CITE_MDLM = "Sahoo et al. Simple and Effective Masked Diffusion Language Models. 2024. arXiv:2406.07524"

NEVER = -1e6  # log probability of what cannot be; finite, so that p log p is 0 and not nan
Predict = Callable[[Tensor, Tensor], Output]


@register("process/masked", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class Masked:
    """vocabulary: number k of real symbols; 0 until `fit` or the caller gives it. density: its floor keeps 1 / t in
    bounds. time: what the network is fed (a network without time ignores it)."""

    vocabulary: int = 0
    schedule: Schedule = field(default_factory=LogLinear)
    density: Density = field(default_factory=lambda: Uniform(floor=1e-3))
    weight: HiddenWeight = field(default_factory=Bound)
    clock: Clock = field(default_factory=Global)
    time: ModelTime = field(default_factory=Unit)

    def __post_init__(self):
        check(self.vocabulary >= 0, "process.vocabulary", self.vocabulary, "at least 1 (0 = not yet known)")

    def fit(self, vocabulary: int) -> Masked:
        """A copy for a state of `vocabulary` symbols."""
        return replace(self, vocabulary=vocabulary)

    @property
    def mask_id(self) -> int:
        """The id of a hidden element: one past the last real symbol. Raises while the vocabulary is not known."""
        if self.vocabulary < 1:
            raise FrisketError("process.vocabulary = 0: give the number of symbols, or fit(vocabulary)")
        return self.vocabulary

    def times(self, u: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Training times, float64, for uniform numbers in [0, 1)."""
        return self.density.quantile(u)

    def model_time(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.time.of(t, self.schedule)

    def noise(self, shape: tuple[int, ...], step: Step) -> Float[Tensor, "b ..."]:
        """Uniform on the lattice of 2^-24 in [0, 1): float32 holds it exactly and never rounds up to 1, so an element
        is hidden with probability m to within 2^-24, and surely at m = 1."""
        return ((step.draw("noise", shape, "uniform") * 2**24).floor() * 2.0**-24).to(torch.float32)

    def hide(self, x: Int[Tensor, "b *g"], where: Bool[Tensor, "b *g"]) -> Int[Tensor, "b *g"]:
        """x with the mask id where True."""
        return x.masked_fill(where, self.mask_id)

    def corrupt(
        self,
        x0: Shaped[Tensor, "b *g"],
        t: Float[Tensor, "b ..."],
        noise: Float[Tensor, "b *g"],
        known: Known | None = None,
    ) -> Corrupted:
        """Hide what has noise < m(t). t: (b,), one a segment (b, k) if the clock has segments, or one an element.
        Raises `FrisketError` unless x0 holds integers."""
        self._check(x0)
        local = self.clock.local(t, tuple(x0.shape[1:]))
        hidden = noise.to(torch.float64) < expand(self.schedule.hidden(local), x0)
        if local.ndim > 1:
            hidden = hidden & (local > 0)  # a schedule may start a little above 0; what is clean stays clean
        if known is not None:
            hidden = hidden & ~known.where
            x0 = known.impose(x0)
        asked = t if t.ndim == 1 else t.flatten(1).amax(1)
        return Corrupted(
            x_t=self.hide(x0, hidden), x0=x0, noise=noise, t=asked, local=local, known=known, hidden=hidden
        )

    def loss(
        self, output: Output, corrupted: Corrupted, valid: Bool[Tensor, "b ..."] | None = None
    ) -> dict[str, Float[Tensor, "b"]]:
        """`denoise`: weighted cross-entropy of what is hidden, averaged over all elements that are valid and not known
        (so in nats an element). valid: (b, *g)."""
        c = corrupted
        if c.hidden is None:
            raise FrisketError("corrupted.hidden is None; it must come from a masked process")
        counts = torch.ones_like(c.hidden)
        if c.local.ndim > 1:
            counts = counts & (c.local > 0)
        if c.known is not None:
            counts = counts & ~c.known.where
        if valid is not None:
            counts = counts & valid
        scored = c.hidden & counts
        nats = self._nats(output.pred, c.x0, scored)
        return {"denoise": mean_over(nats * self.weight.on(self.schedule, c.local, c.hidden, counts), counts)}

    def estimate(self, output: Output, x_t: Int[Tensor, "b *g"], t: Tensor) -> Estimate:
        """Normalised log probabilities (b, *g, k), float32: the network's where x_t is hidden, x_t's own symbol with
        probability 1 elsewhere (all other symbols at -1e6)."""
        logp = self._logp(output.pred, x_t)
        hidden = x_t == self.mask_id
        own = torch.full_like(logp, NEVER).scatter_(-1, x_t.masked_fill(hidden, 0)[..., None], 0.0)
        return Estimate(logits=torch.where(hidden[..., None], logp, own))

    def prior(self, noise: Tensor) -> Int[Tensor, "b *g"]:
        """Everything hidden, in the shape of the noise."""
        return torch.full(noise.shape, self.mask_id, dtype=torch.int64, device=noise.device)

    def renoise(
        self, x: Int[Tensor, "b *g"], t: Float[Tensor, "b ..."], s: Float[Tensor, "b ..."], noise: Tensor
    ) -> Int[Tensor, "b *g"]:
        """Hide visible elements of x at t with probability (m(s) - m(t)) / (1 - m(t)), so that it is a state at s."""
        now, later = self.schedule.hidden(t), self.schedule.hidden(s)
        chance = ((later - now) / (1 - now).clamp(min=1e-12)).clamp(0, 1)
        return self.hide(x, noise.to(torch.float64) < expand(chance, x))

    def reveal_chance(self, t: Float[Tensor, "..."], s: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The probability that an element hidden at t is visible at s <= t: (m(t) - m(s)) / m(t)."""
        now, later = self.schedule.hidden(t), self.schedule.hidden(s)
        return ((now - later) / now.clamp(min=1e-12)).clamp(0, 1)

    def outputs(self, channels: int) -> int:
        """The number of logits: the vocabulary."""
        return self.mask_id

    def nelbo(
        self, predict: Predict, x0: Int[Tensor, "b *g"], step: Step, draws: int = 16,
        known: Known | None = None, valid: Bool[Tensor, "b *g"] | None = None,
    ) -> Float[Tensor, "b"]:  # fmt: skip
        """An estimate of the continuous-time bound on -log p(x0 | known), nats a sample, from `draws` forwards.

        The bound is the integral over m of (1 / m) E[cross-entropy of the hidden]; it depends on the schedule only
        through its ends, taken as 0 and 1. With m integrated out it is a mean over the count l = 1 .. N of hidden
        elements of (N / l) times the cross-entropy of l hidden at random: the same number with a bounded variance.
        Counts are stratified over the draws. `predict(x_t, t)` gets the process's t at which l of N are hidden on
        average; conditioning on the count keeps it a bound for networks that use t.
        """
        self._check(x0)
        check(draws >= 1, "draws", draws, "at least 1")
        open_ = torch.ones_like(x0, dtype=torch.bool)
        open_ = open_ if known is None else open_ & ~known.where
        open_ = open_ if valid is None else open_ & valid
        total = open_.flatten(1).sum(1)
        start = step.draw("nelbo/count", (), "uniform")
        out = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
        for i in range(draws):
            count = ((i + start) / draws * total).floor().long() + 1
            order = step.draw(f"nelbo/order/{i}", tuple(x0.shape[1:]), "uniform").masked_fill(~open_, 2.0)
            rank = order.flatten(1).argsort(1).argsort(1).reshape(x0.shape)
            hidden = (rank < expand(count, rank)) & open_
            t = self.schedule.time(count / total.clamp(min=1))
            nats = self._nats(predict(self.hide(x0, hidden), t).pred, x0, hidden)
            out += nats.to(torch.float64).flatten(1).sum(1) * total / count / draws
        return out

    def _logp(self, pred: Tensor, x: Tensor) -> Tensor:
        k = self.mask_id
        if pred.shape[:-1] != x.shape or pred.shape[-1] not in (k, k + 1):
            raise FrisketError(f"logits of shape {tuple(pred.shape)} do not fit ids {tuple(x.shape)} and {k} symbols")
        return torch.log_softmax(pred[..., :k].to(torch.float32), dim=-1)

    def _nats(self, pred: Tensor, x0: Tensor, where: Tensor) -> Float[Tensor, "b *g"]:
        """-log p(x0) where True, 0 elsewhere."""
        logp = self._logp(pred, x0).gather(-1, x0.masked_fill(~where, 0)[..., None]).squeeze(-1)
        return torch.where(where, -logp, torch.zeros_like(logp))

    def _check(self, x0: Tensor) -> None:
        check(not x0.is_floating_point(), "x0.dtype", x0.dtype, "an integer type: a grid of ids")


def bits_per_element(nats: Float[Tensor, "b"], elements: int) -> Float[Tensor, "b"]:
    """A `nelbo` in bits an element (bits per dimension, per character ...)."""
    check(elements >= 1, "elements", elements, "at least 1")
    return nats / (elements * torch.log(torch.tensor(2.0, dtype=torch.float64)).item())

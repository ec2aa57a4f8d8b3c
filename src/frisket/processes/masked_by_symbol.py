"""Masked corruption whose schedule depends on the symbol and is learnt with the model.

Source: GenMD4 2406.04329, section on state-dependent schedules; md4/models/diffusion/genmd4.py of google-deepmind/md4
was read for facts. A symbol v is hidden at t with probability m_v(t) = t^w_v, w = softplus(theta). The loss at a hidden
element that was x is (1 / t) (sum_v w_v p_v - w_x (1 + log p_x)); equal powers leave the (w / t) cross-entropy of a
polynomial schedule. Training covers t in [first, 1] and adds the reconstruction at `first`, by the chances of being
hidden alone. The powers also decide what is hidden, so the loss's own gradient misses a part: see
`passes/leave-one-out`. It is a process and not a clock, since an element's own time would tell the network its symbol.
Left open or otherwise: official code hides at most 1 - 1e-4 at t = 1 and calls the divergence from an all-hidden prior,
which is infinite then, negligible; here m_v(1) = 1 and it is 0. Its repository has no sampler; `reveal_chance` is the
reverse step that the bound belongs to.
Shapes: b batch, `*g` the grid of ids, k symbols.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn.functional import softplus

from frisket.core.condition import Output
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.processes.absorbing import (
    TINY,
    Predict,
    all_hidden,
    check_ids,
    check_vocabulary,
    concealed,
    counted,
    known_vocabulary,
    lattice,
    open_elements,
    separate,
    symbols,
)
from frisket.processes.base import Corrupted, Estimate, expand, mean_over
from frisket.processes.known import Known
from frisket.processes.model_times import ModelTime, Unit
from frisket.processes.schedules import Polynomial

CITE_MD4 = "Shi et al. Simplified and Generalized Masked Diffusion for Discrete Data. 2024. arXiv:2406.04329"


@register("process/masked-by-symbol", cite=CITE_MD4)
@dataclass(frozen=True, kw_only=True)
class MaskedBySymbol:
    """vocabulary: number k of real symbols; 0 until `fit` or the caller gives it. power: of every symbol at first.
    first: the least time that is trained on. time: what the network is fed; the symbols' chances given that they are
    hidden depend on t, so a network that is blind to it cannot reach them."""

    vocabulary: int = 0
    power: float = 1.0
    first: float = 1e-3
    time: ModelTime = field(default_factory=Unit)

    def __post_init__(self):
        check_vocabulary(self.vocabulary)
        check(self.power > 0, "process.power", self.power, "positive")
        check(0 < self.first < 1, "process.first", self.first, "between 0 and 1")

    def fit(self, vocabulary: int, symbols: int | None = None) -> MaskedBySymbol:
        """A copy for a state of `vocabulary` symbols."""
        return replace(self, vocabulary=vocabulary)

    def outputs(self, channels: int) -> int:
        """The number of logits: the vocabulary."""
        return known_vocabulary(self.vocabulary)

    def build(self) -> LearnedMasking:
        """The process, all its powers equal."""
        return LearnedMasking(self)


class LearnedMasking(nn.Module):
    """A built `MaskedBySymbol`. Calling it gives the powers."""

    def __init__(self, config: MaskedBySymbol):
        super().__init__()
        self.config, self.vocabulary = config, known_vocabulary(config.vocabulary)
        start = config.power + math.log(-math.expm1(-config.power))  # softplus(start) = power
        self.theta = nn.Parameter(torch.full((self.vocabulary,), start))

    def forward(self) -> Float[Tensor, "k"]:
        """The powers w, float64."""
        return softplus(self.theta.to(torch.float64))

    @property
    def mask_id(self) -> int:
        """The id of a hidden element."""
        return self.vocabulary

    def outputs(self, channels: int) -> int:
        return self.config.outputs(channels)

    def times(self, u: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Uniform on [first, 1), float64."""
        return self.config.first + (1 - self.config.first) * u.to(torch.float64)

    def model_time(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.config.time.of(t, Polynomial(power=self.config.power))

    def noise(self, shape: tuple[int, ...], step: Step) -> Float[Tensor, "b ..."]:
        return lattice(shape, step)

    def hide(self, x: Int[Tensor, "b *g"], where: Bool[Tensor, "b *g"]) -> Int[Tensor, "b *g"]:
        """x with the mask id where True."""
        return x.masked_fill(where, self.mask_id)

    def prior(self, noise: Tensor) -> Int[Tensor, "b *g"]:
        return all_hidden(noise, self.mask_id)

    def corrupt(
        self,
        x0: Shaped[Tensor, "b *g"],
        t: Float[Tensor, "b"],
        noise: Float[Tensor, "b *g"],
        known: Known | None = None,
    ) -> Corrupted:
        """Hide what has noise < m_x(t). Raises `FrisketError` unless x0 holds integers."""
        check_ids(x0)
        hidden = noise.to(torch.float64) < self._hidden(self().detach(), x0, t)
        return concealed(x0, hidden, t, t, noise, known, self.mask_id)

    def log_chance(self, c: Corrupted) -> Float[Tensor, "b"]:
        """log q(x_t | x0) of what is not known, with gradients of the powers."""
        power = self._own(self(), c.x0)
        log_t = expand(c.t.to(torch.float64), c.x0).clamp(min=TINY, max=1 - TINY).log()
        assert c.hidden is not None
        each = torch.where(c.hidden, power * log_t, torch.log(-torch.expm1(power * log_t)))
        each = each if c.known is None else each.masked_fill(c.known.where.expand_as(each), 0.0)
        return each.flatten(1).sum(1)

    def loss(
        self, output: Output, corrupted: Corrupted, valid: Bool[Tensor, "b ..."] | None = None
    ) -> dict[str, Float[Tensor, "b"]]:
        """`denoise`: the bound's integrand at t; `reconstruction`: what the times below `first` cost. Both in nats an
        element, averaged over all that are valid and not known. valid: (b, *g)."""
        c, counts, power = corrupted, counted(corrupted, valid), self()
        assert c.hidden is not None
        rate = self._integrand(output.pred, c.x0, c.hidden & counts, power)
        denoise = rate / expand(c.t.to(torch.float64), rate).clamp(min=TINY)
        log_first = power * math.log(self.config.first)
        own = self._own(log_first, c.x0)
        reconstruction = own.exp() * (log_first.logsumexp(0) - own)
        terms = {"denoise": denoise, "reconstruction": reconstruction}
        return {name: mean_over(term, counts).to(torch.float32) for name, term in terms.items()}

    def estimate(self, output: Output, x_t: Int[Tensor, "b *g"], t: Tensor) -> Estimate:
        """Log probabilities (b, *g, k) of x0 given x_t at t, certain where x_t is visible."""
        return separate(output.pred, x_t, self.mask_id)

    def renoise(
        self, x: Int[Tensor, "b *g"], t: Float[Tensor, "b"], s: Float[Tensor, "b"], noise: Tensor
    ) -> Int[Tensor, "b *g"]:
        """Hide visible elements of x at t with probability (m_x(s) - m_x(t)) / (1 - m_x(t)), so that it is a state at
        s."""
        power = self().detach()
        now, later = (self._hidden(power, x, time) for time in (t, s))
        chance = ((later - now) / (1 - now).clamp(min=TINY)).clamp(0, 1)
        return self.hide(x, noise.to(torch.float64) < chance)

    def reveal_chance(self, t: Float[Tensor, "b"], s: Float[Tensor, "b"]) -> Float[Tensor, "b k"]:
        """The probability that an element hidden at t is visible at s <= t if it is v: 1 - (s / t)^w_v."""
        share = (s.to(torch.float64) / t.to(torch.float64).clamp(min=TINY)).clamp(0, 1)
        return 1 - share[:, None] ** self().detach()

    def nelbo(
        self, predict: Predict, x0: Int[Tensor, "b *g"], step: Step, draws: int = 16,
        known: Known | None = None, valid: Bool[Tensor, "b *g"] | None = None,
    ) -> Float[Tensor, "b"]:  # fmt: skip
        """An estimate of the continuous-time bound on -log p(x0 | known), nats a sample, from `draws` forwards, over all
        t in (0, 1]: at 0 everything is visible and at 1 all is hidden, so nothing else is left to count.

        An element's hiding time has the density m_x'(t) = w_x m_x(t) / t. Drawing one of the N elements and its hiding
        time, with the others hidden if theirs are earlier, and weighing what is hidden by who might have been the one
        drawn, gives N (sum of the integrand) / (sum of w_x) over the hidden elements: the integral's mean, with a
        bounded variance. Hiding times are stratified over the draws.
        """
        check_ids(x0)
        check(draws >= 1, "draws", draws, "at least 1")
        power, open_ = self().detach(), open_elements(x0, known, valid)
        own, total = self._own(power, x0), open_.flatten(1).sum(1)
        start = step.draw("nelbo/time", (), "uniform")
        out = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
        for i in range(draws):
            order = step.draw(f"nelbo/first/{i}", tuple(x0.shape[1:]), "uniform").masked_fill(~open_, 2.0).flatten(1)
            first = order.argmin(1, keepdim=True)
            t = ((i + start) / draws).clamp(min=TINY) ** (1 / own.flatten(1).gather(1, first)[:, 0])
            early = step.draw(f"nelbo/others/{i}", tuple(x0.shape[1:]), "uniform") < self._hidden(power, x0, t)
            hidden = early.flatten(1).scatter(1, first, True).reshape(x0.shape) & open_
            rate = self._integrand(predict(self.hide(x0, hidden), t).pred, x0, hidden, power)
            weight = torch.where(hidden, own, torch.zeros_like(own)).flatten(1).sum(1)
            out += rate.flatten(1).sum(1) * total / weight.clamp(min=TINY) / draws
        return out

    def _integrand(self, pred: Tensor, x0: Tensor, where: Tensor, power: Tensor) -> Float[Tensor, "b *g"]:
        """t times the bound's integrand where True, 0 elsewhere, float64."""
        logp = symbols(pred, x0, self.mask_id).to(torch.float64)
        own = logp.gather(-1, self._real(x0)[..., None]).squeeze(-1)
        rate = logp.exp() @ power - self._own(power, x0) * (1 + own)
        return torch.where(where, rate, torch.zeros_like(rate))

    def _hidden(self, power: Tensor, x: Tensor, t: Tensor) -> Float[Tensor, "b *g"]:
        """m_x(t) of every element, float64."""
        return expand(t.to(torch.float64), x) ** self._own(power, x)

    def _own(self, values: Float[Tensor, "k"], x: Int[Tensor, "b *g"]) -> Float[Tensor, "b *g"]:
        """The value of every element's symbol; of any symbol where it has none."""
        return values[self._real(x)]

    def _real(self, x: Tensor) -> Tensor:
        return x.clamp(0, self.vocabulary - 1)

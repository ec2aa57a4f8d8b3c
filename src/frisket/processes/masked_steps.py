"""Masked corruption of ids in finitely many steps: the absorbing chain of D3PM, with its exact variational bound.

Sources: D3PM 2107.03006 in the closed form of MDLM 2406.07524 (its improved baseline); `_d3pm_loss` and
`_reconstruction_loss` in diffusion.py of kuleshov-group/mdlm were read for facts. A step from t to s = t - 1 / T leaves
a hidden element hidden with probability (m_s + (1 - m_s) p) / (m_t + (1 - m_t) p), p being the network's probability of
the mask; the true one has p = 0. The bound is the sum over steps of the divergence between the two plus the
reconstruction of x0 by the network that sees it whole, at t = 0. Left open: the ends of the schedule. Official code
hides at most 0.999 and still starts its samples from all hidden, where the divergence of the two priors is infinite;
here m(0) = 0 and m(1) = 1 exactly.
Shapes: b batch, `*g` the grid of ids, k real symbols.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.processes.absorbing import (
    TINY,
    Absorbing,
    Predict,
    check_ids,
    check_vocabulary,
    counted,
    lowest,
    open_elements,
    separate,
)
from frisket.processes.base import Corrupted, Estimate, expand, mean_over
from frisket.processes.known import Known
from frisket.processes.parameterisations import Parameterisation, Substitution
from frisket.processes.schedules import Linear, Schedule

CITE_D3PM = "Austin et al. Structured Denoising Diffusion Models in Discrete State-Spaces. 2021. arXiv:2107.03006"


@register("process/masked-steps", cite=CITE_D3PM)
@dataclass(frozen=True, kw_only=True)
class MaskedSteps(Absorbing):
    """steps: T of the chain, whatever number of steps a sampler takes. parameterisation: what the logits mean.
    schedule: with m(0) = 0 and m(1) = 1.

    Sampling uses the network's probabilities of the real symbols, renormalised, at hidden elements, and the schedule's
    chance of revealing them: a network that predicts the mask is never followed in that.
    """

    steps: int = 1000
    parameterisation: Parameterisation = field(default_factory=Substitution)
    schedule: Schedule = field(default_factory=Linear)

    def __post_init__(self):
        check_vocabulary(self.vocabulary)
        check(self.steps >= 1, "process.steps", self.steps, "at least 1")
        first, last = self.schedule.hidden(torch.tensor([0.0, 1.0])).tolist()
        check(first < 1e-9 and last > 1 - 1e-9, "process.schedule", self.schedule, "one with m(0) = 0 and m(1) = 1")

    def fit(self, vocabulary: int, symbols: int | None = None) -> MaskedSteps:
        """A copy for a state of `vocabulary` symbols."""
        return replace(self, vocabulary=vocabulary)

    def estimate(self, output: Output, x_t: Int[Tensor, "b *g"], t: Tensor) -> Estimate:
        return separate(output.pred, x_t, self.mask_id)

    def times(self, u: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Training times, float64, for uniform numbers in [0, 1): 0 for the parameterisation's share of clean samples,
        else one of 1 / T, 2 / T, ..., 1."""
        clean = self.parameterisation.clean
        rest = (u.to(torch.float64) - clean) / (1 - clean)
        step = ((rest * self.steps).floor() + 1).clamp(max=self.steps)
        return torch.where(rest < 0, torch.zeros_like(rest), step / self.steps)

    def corrupt(
        self,
        x0: Shaped[Tensor, "b *g"],
        t: Float[Tensor, "b"],
        noise: Float[Tensor, "b *g"],
        known: Known | None = None,
    ) -> Corrupted:
        """Hide what has noise < m(t), at any t in [0, 1]. Raises `FrisketError` unless x0 holds integers."""
        check_ids(x0)
        hidden = noise.to(torch.float64) < expand(self.schedule.hidden(t), x0)
        return self.corrupted(x0, hidden, t, t, noise, known)

    def loss(
        self, output: Output, corrupted: Corrupted, valid: Bool[Tensor, "b ..."] | None = None
    ) -> dict[str, Float[Tensor, "b"]]:
        """`denoise`: an unbiased estimate of the bound in nats an element, averaged over all that are valid and not
        known: T times the divergence of a step at hidden elements, the reconstruction at t = 0, each over its share of
        the samples. valid: (b, *g)."""
        c, counts = corrupted, counted(corrupted, valid)
        clean = self.parameterisation.clean
        divergence, reconstruction = self._nats(output.pred, c.x_t, c.x0, c.t, counts)
        at_zero = expand(c.t <= 0, reconstruction)
        nats = divergence * (self.steps / (1 - clean)) + reconstruction * at_zero / max(clean, TINY)
        return {"denoise": mean_over(nats, counts).to(torch.float32)}

    def outputs(self, channels: int) -> int:
        """The number of logits: the parameterisation's."""
        return self.parameterisation.outputs(self.mask_id)

    def nelbo(
        self, predict: Predict, x0: Int[Tensor, "b *g"], step: Step, draws: int = 16,
        known: Known | None = None, valid: Bool[Tensor, "b *g"] | None = None,
    ) -> Float[Tensor, "b"]:  # fmt: skip
        """An estimate of the T-step bound on -log p(x0 | known), nats a sample, from `draws` forwards at steps and one
        at t = 0.

        A step's divergence is zero at visible elements and has the factor (m_t - m_s) / m_t at hidden ones. Drawing
        the step with probability m_t - m_s, one of the N elements surely hidden and the others with probability m_t,
        turns the sum over steps into the mean of N times the hidden elements' average divergence over that factor: the
        same number with a bounded variance. One stratified number draws the count of hidden elements and, given it, the
        step. Draws are those of `process/masked`, so that two such bounds of like models differ by little noise.
        """
        check_ids(x0)
        check(draws >= 1, "draws", draws, "at least 1")
        open_ = open_elements(x0, known, valid)
        total = open_.flatten(1).sum(1).clamp(min=1)
        zero = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
        _, reconstruction = self._nats(predict(x0, zero).pred, x0, x0, zero, open_)
        out = reconstruction.flatten(1).sum(1)
        u = torch.arange(draws, device=x0.device) + step.draw("nelbo/count", (1,), "uniform")
        counts, times = self._pick(u / draws, total)
        for i, (count, t) in enumerate(zip(counts.T, times.T, strict=True)):
            hidden = lowest(step.draw(f"nelbo/order/{i}", tuple(x0.shape[1:]), "uniform"), open_, count)
            now, before = self._shares(t)
            x_t = self.hide(x0, hidden)
            divergence, _ = self._nats(predict(x_t, t).pred, x_t, x0, t, open_)
            out = out + divergence.flatten(1).sum(1) * total / count * now / (now - before).clamp(min=TINY) / draws
        return out

    def _pick(self, u: Tensor, total: Tensor) -> tuple[Int[Tensor, "b draws"], Float[Tensor, "b draws"]]:
        """How many of `total` elements are hidden, at least 1, and at which time: the u-quantiles (b, draws) of their
        joint law, ordered by count."""
        at = torch.zeros_like(u, dtype=torch.int64)
        for n in total.unique().tolist():
            law = self._law(n, u.device).flatten().cumsum(0)
            here = total == n
            at[here] = torch.searchsorted(law, u[here] * law[-1], right=True).clamp(max=len(law) - 1)
        return at // self.steps + 1, (at % self.steps + 1).to(torch.float64) / self.steps

    def _law(self, n: int, device: torch.device) -> Float[Tensor, "n steps"]:
        """Probability of 1 .. n hidden (one surely, the others with m) and of the steps 1 .. T (each its rise of m)."""
        count = torch.arange(1, n + 1, dtype=torch.float64, device=device)[:, None]
        now, before = self._shares(torch.arange(1, self.steps + 1, dtype=torch.float64, device=device) / self.steps)
        ways = math.lgamma(n) - torch.lgamma(count) - torch.lgamma(n - count + 1)
        chance = (ways + torch.xlogy(count - 1, now) + torch.xlogy(n - count, 1 - now)).exp()
        return chance * (now - before)

    def _shares(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """m at t and a step earlier, float64."""
        t = t.to(torch.float64)
        earlier = (t - 1 / self.steps).clamp(min=0)
        return self.schedule.hidden(t), self.schedule.hidden(earlier)

    def _nats(
        self, pred: Tensor, x_t: Tensor, x0: Tensor, t: Tensor, counts: Tensor
    ) -> tuple[Float[Tensor, "b *g"], Float[Tensor, "b *g"]]:
        """The divergence of the step that ends at t where x_t is hidden, -log p(x0) where it is visible; 0 elsewhere
        and where not counted. float64."""
        x_t, x0 = (x.masked_fill(~counts, 0) for x in (x_t, x0))
        logp = self.parameterisation.logp(pred, x_t, self.mask_id).to(torch.float64)
        hidden = x_t == self.mask_id
        own = logp.gather(-1, x0[..., None]).squeeze(-1)
        mask = logp[..., self.mask_id].exp()
        now, before = (expand(m, x0) for m in self._shares(t))
        reveal = ((now - before) / now.clamp(min=TINY)).clamp(0, 1)
        evidence = torch.log1p((1 - now) * mask / now.clamp(min=TINY))
        stays = evidence - torch.log1p((1 - before) * mask / before.clamp(min=TINY))
        divergence = reveal * (evidence - own) + (1 - reveal) * stays
        none = torch.zeros_like(own)
        return torch.where(hidden & counts, divergence, none), torch.where(~hidden & counts, -own, none)

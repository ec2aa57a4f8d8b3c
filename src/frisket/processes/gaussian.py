"""Gaussian corruption: path x prediction x time density x weight x shift x clock x variance, each its own part.

x_t = alpha x0 + sigma noise; the loss is the weighted squared error of the prediction, averaged over the elements that
are neither known nor invalid nor at local time 0. With a learned variance a second term, `vlb`, is the variational
bound of 2102.09672 as the official DiT code computes it (bits an element, mean detached, discretised likelihood at the
last step). The posterior is the general one, so ancestral steps work on every path (respaced betas follow from alpha-
bars).
Shapes: b batch, `*s` the state's shape (channels first).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.processes.base import Corrupted, Estimate, expand, mean_over
from frisket.processes.clocks import Clock, Global, at_known
from frisket.processes.densities import Density, Uniform
from frisket.processes.known import Known
from frisket.processes.model_times import ModelTime, Unit
from frisket.processes.paths import Flow, Level, Path
from frisket.processes.predictions import Prediction, Velocity, target
from frisket.processes.variances import FixedSmall, Moments, Variance, kl_bits, nll_bits
from frisket.processes.weights import NoWeight, Weight

SMALLEST = 1e-20  # variances are raised to this before their logarithm


def shifted(t: Float[Tensor, "..."], by: float) -> Float[Tensor, "..."]:
    """by t / (1 + (by - 1) t): the resolution shift of 2403.03206; above 1 it moves times towards noise."""
    return by * t / (1 + (by - 1) * t)


def _held(name: str, value: Tensor | None) -> Tensor:
    if value is None:
        raise FrisketError(f"estimate.{name} is None; a gaussian process estimates x0 and noise")
    return value


@register("process/gaussian")
@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """shift: of training times (a sampler's grid may use it too); 1 changes nothing. time: what the network is fed."""

    path: Path = field(default_factory=Flow)
    prediction: Prediction = field(default_factory=Velocity)
    density: Density = field(default_factory=Uniform)
    weight: Weight = field(default_factory=NoWeight)
    shift: float = 1.0
    clock: Clock = field(default_factory=Global)
    variance: Variance = field(default_factory=FixedSmall)
    time: ModelTime = field(default_factory=Unit)

    def __post_init__(self):
        check(self.shift > 0, "process.shift", self.shift, "positive")

    def times(self, u: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Training times, float64, for uniform numbers in [0, 1)."""
        return shifted(self.density.quantile(u, self.path), self.shift)

    def model_time(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.time.of(t, self.path)

    def noise(self, shape: tuple[int, ...], step: Step) -> Float[Tensor, "b ..."]:
        """Standard normal, float32."""
        return step.draw("noise", shape).to(torch.float32)

    def level(self, t: Float[Tensor, "b ..."], x: Float[Tensor, "b *s"]) -> Level:
        """The path's coefficients at t, broadcast against x and in its dtype."""
        return self.path.level(t).like(x)

    def corrupt(
        self,
        x0: Float[Tensor, "b *s"],
        t: Float[Tensor, "b ..."],
        noise: Float[Tensor, "b *s"],
        known: Known | None = None,
    ) -> Corrupted:
        """The state at t. t: (b,), one a segment (b, k) if the clock has segments, or one an element."""
        local = at_known(self.clock, self.clock.local(t, tuple(x0.shape[1:])), None if known is None else known.where)
        level = self.level(local, x0)
        x_t = level.alpha * x0 + level.sigma * noise
        if known is not None:
            x_t = known.impose(x_t)
        asked = t if t.ndim == 1 else t.flatten(1).amax(1)
        return Corrupted(x_t=x_t, x0=x0, noise=noise, t=asked, local=local, known=known)

    def loss(
        self, output: Output, corrupted: Corrupted, valid: Bool[Tensor, "b ..."] | None = None
    ) -> dict[str, Float[Tensor, "b"]]:
        """`denoise`, and `vlb` with a learned variance. valid: (b, *s), (b, 1, *grid) or (b, *grid)."""
        c = corrupted
        pred, fraction = self.variance.split(output.pred.to(c.x_t.dtype), c.x_t)
        level = self.level(c.local, c.x_t)
        error = (pred - target(self.prediction, c.x0, c.noise, level)) ** 2
        counts = self._counts(c, valid)
        terms = {"denoise": mean_over(self.weight.on(self.prediction, level) * error, counts)}
        if self.variance.bound_steps():
            x0, _ = self.prediction.split(pred.detach(), c.x_t, level)
            terms["vlb"] = mean_over(self._bound(c, x0, fraction), counts)
        return terms

    def estimate(self, output: Output, x_t: Float[Tensor, "b *s"], t: Float[Tensor, "b ..."]) -> Estimate:
        """x0, noise and, if learned, the variance's place between its bounds. t: (b,) or broadcastable to x_t."""
        pred, fraction = self.variance.split(output.pred.to(x_t.dtype), x_t)
        x0, noise = self.prediction.split(pred, x_t, self.level(t, x_t))
        return Estimate(x0=x0, noise=noise, variance=fraction)

    def velocity(
        self, estimate: Estimate, x: Float[Tensor, "b *s"], t: Float[Tensor, "b ..."]
    ) -> Float[Tensor, "b *s"]:
        """dx / dt of the probability-flow equation: alpha' x0 + sigma' noise."""
        level = self.level(t, x)
        return level.d_alpha * _held("x0", estimate.x0) + level.d_sigma * _held("noise", estimate.noise)

    def posterior(
        self, x: Float[Tensor, "b *s"], estimate: Estimate, t: Float[Tensor, "b"], s: Float[Tensor, "b"]
    ) -> tuple[Float[Tensor, "b *s"], Float[Tensor, "b ..."]]:
        """Mean and log variance of the ancestral step from x at t to s < t. Add no noise where s = 0."""
        moments = self.moments(x, _held("x0", estimate.x0), t, s)
        return moments.mean, self.variance.log_variance(moments, estimate.variance)

    def moments(self, x: Tensor, x0: Tensor, t: Float[Tensor, "b ..."], s: Float[Tensor, "b ..."]) -> Moments:
        """The two-sided conditional q(x_s | x_t, x0) and the bounds of a step's variance."""
        final = s <= 0
        lower = torch.where(final, self._step(2 * t, t)[2], self._step(t, s)[2])
        on_x, on_x0, _, upper = self._step(t, s)
        on_x, on_x0, lower, upper, final = (expand(v, x).to(x.device) for v in (on_x, on_x0, lower, upper, final))
        mean = on_x.to(x.dtype) * x + on_x0.to(x.dtype) * x0
        return Moments(mean=mean, lower=lower.to(x.dtype), upper=upper.to(x.dtype), final=final)

    def prior(self, noise: Float[Tensor, "b *s"]) -> Float[Tensor, "b *s"]:
        return noise * self.path.scale()

    def renoise(
        self, x: Float[Tensor, "b *s"], t: Float[Tensor, "b ..."], s: Float[Tensor, "b ..."], noise: Tensor
    ) -> Float[Tensor, "b *s"]:
        """From x at t to a later s >= t: x times alpha_s / alpha_t plus the missing noise. t < 1."""
        now, later = self.path.level(t), self.path.level(s)
        keep = later.alpha / now.alpha.clamp(min=SMALLEST)
        add = (later.sigma**2 - (keep * now.sigma) ** 2).clamp(min=0).sqrt()
        return expand(keep, x).to(x.dtype) * x + expand(add, x).to(x.dtype) * noise

    def outputs(self, channels: int) -> int:
        return self.variance.outputs(channels)

    def _step(self, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Factors of x and x0 in the posterior's mean, and the log variance bounds, float64, for a step t -> s."""
        at_t, at_s = self.path.level(t.clamp(max=1)), self.path.level(s)
        keep = at_t.alpha / at_s.alpha.clamp(min=SMALLEST)
        added = (at_t.sigma**2 - (keep * at_s.sigma) ** 2).clamp(min=0)
        total = at_t.sigma.clamp(min=SMALLEST) ** 2
        posterior = added * at_s.sigma**2 / total
        bounds = posterior.clamp(min=SMALLEST).log(), added.clamp(min=SMALLEST).log()
        return keep * at_s.sigma**2 / total, at_s.alpha * added / total, *bounds

    def _bound(self, c: Corrupted, x0: Tensor, fraction: Tensor | None) -> Tensor:
        """The step's term of the variational bound, bits an element."""
        step = 1 / self.variance.bound_steps()
        s = c.local.to(torch.float64) - step
        s = torch.where(s < 1e-4 * step, torch.zeros_like(s), s)  # float32 times fall just beside the grid
        true = self.moments(c.x_t, c.x0, c.local, s)
        model = self.moments(c.x_t, x0, c.local, s)
        log_variance = self.variance.log_variance(model, fraction)
        kl = kl_bits(true.mean, true.lower, model.mean, log_variance)
        return torch.where(true.final, nll_bits(c.x0, model.mean, log_variance), kl)

    def _counts(self, c: Corrupted, valid: Tensor | None) -> Tensor | None:
        """Where the loss counts, broadcastable to the state; None = everywhere."""
        counts = None if c.known is None else ~c.known.where
        if c.local.ndim > 1:
            noisy = c.local > 0
            counts = noisy if counts is None else counts & noisy
        if valid is not None:
            valid = valid.unsqueeze(1) if valid.ndim == c.x_t.ndim - 1 else valid
            counts = valid if counts is None else counts & valid
        return counts

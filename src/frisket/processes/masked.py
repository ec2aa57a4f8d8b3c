"""Masked corruption of ids in continuous time: each element is hidden with probability m(t) and a network says what it
was.

Sources: MDLM 2406.07524 (the SUBS form: never the mask, visible elements copied; eq. for continuous time with weight
m' / m) and MD4 2406.04329. Official diffusion.py of kuleshov-group/mdlm was read for facts. What the logits say about
hidden elements is the emission's. A chain of finitely many steps, and a network that may predict the mask, are
`process/masked-steps`.
Shapes: b batch, `*g` the grid of ids, k real symbols.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.processes.absorbing import (
    Absorbing,
    Predict,
    check_ids,
    check_vocabulary,
    counted,
    lowest,
    open_elements,
)
from frisket.processes.base import Corrupted, Estimate, expand, mean_over
from frisket.processes.clocks import Clock, Global, at_known
from frisket.processes.densities import Density, Uniform
from frisket.processes.emissions import Categorical, Emission
from frisket.processes.hidden_weights import Bound, HiddenWeight
from frisket.processes.known import Known

CITE_MDLM = "Sahoo et al. Simple and Effective Masked Diffusion Language Models. 2024. arXiv:2406.07524"


@register("process/masked", cite=CITE_MDLM)
@dataclass(frozen=True, kw_only=True)
class Masked(Absorbing):
    """density: its floor keeps 1 / t in bounds. weight: of the cross-entropy of what is hidden (or of everything). clock:
    each element's own time. emission: what the network's logits say about hidden elements."""

    density: Density = field(default_factory=lambda: Uniform(floor=1e-3))
    weight: HiddenWeight = field(default_factory=Bound)
    clock: Clock = field(default_factory=Global)
    emission: Emission = field(default_factory=Categorical)

    def __post_init__(self):
        check_vocabulary(self.vocabulary)

    def fit(self, vocabulary: int, symbols: int | None = None) -> Masked:
        """A copy for a state of `vocabulary` ids, which spell `symbols` symbols together if that is not None."""
        return replace(self, vocabulary=vocabulary, emission=self.emission.fit(vocabulary, symbols))

    def times(self, u: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Training times, float64, for uniform numbers in [0, 1)."""
        return self.density.quantile(u)

    def corrupt(
        self,
        x0: Shaped[Tensor, "b *g"],
        t: Float[Tensor, "b ..."],
        noise: Float[Tensor, "b *g"],
        known: Known | None = None,
    ) -> Corrupted:
        """Hide what has noise < m(t). t: (b,), one a segment (b, k) if the clock has segments, or one an element.
        Raises `FrisketError` unless x0 holds integers."""
        check_ids(x0)
        local = at_known(self.clock, self.clock.local(t, tuple(x0.shape[1:])), None if known is None else known.where)
        hidden = noise.to(torch.float64) < expand(self.schedule.hidden(local), x0)
        if local.ndim > 1:
            hidden = hidden & (local > 0)  # a schedule may start a little above 0; what is clean stays clean
        asked = t if t.ndim == 1 else t.flatten(1).amax(1)
        return self.corrupted(x0, hidden, asked, local, noise, known)

    def loss(
        self, output: Output, corrupted: Corrupted, valid: Bool[Tensor, "b ..."] | None = None
    ) -> dict[str, Float[Tensor, "b"]]:
        """`denoise`: weighted cross-entropy of what is hidden, averaged over all elements that are valid and not known
        (so in nats an element); the emission may train on another one. valid: (b, *g)."""
        c, counts = corrupted, counted(corrupted, valid)
        assert c.hidden is not None
        scored = counts if self.weight.everywhere else c.hidden & counts
        nats = self.emission.trained(output.pred, c.x_t, c.x0, scored, self.mask_id)
        return {"denoise": mean_over(nats * self.weight.on(self.schedule, c.local, c.hidden, counts), counts)}

    def outputs(self, channels: int) -> int:
        """The number of logits: the emission's."""
        return self.emission.outputs(self.mask_id)

    def estimate(self, output: Output, x_t: Int[Tensor, "b *g"], t: Tensor) -> Estimate:
        """The emission's: log probabilities of each element, certain where x_t is visible; and of elements together,
        where it predicts them so."""
        return self.emission.estimate(output.pred, x_t, self.mask_id)

    def spelled(self, symbols: Int[Tensor, "b ..."], shape: tuple[int, ...]) -> Int[Tensor, "b *g"]:
        """The ids of a state of `shape` (batch left out) that spell symbols drawn from `estimate.joint`."""
        return self.emission.spelled(symbols, shape, self.mask_id)

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
        check_ids(x0)
        check(draws >= 1, "draws", draws, "at least 1")
        open_ = open_elements(x0, known, valid)
        total = open_.flatten(1).sum(1)
        start = step.draw("nelbo/count", (), "uniform")
        out = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
        for i in range(draws):
            count = ((i + start) / draws * total).floor().long() + 1
            hidden = lowest(step.draw(f"nelbo/order/{i}", tuple(x0.shape[1:]), "uniform"), open_, count)
            t = self.schedule.time(count / total.clamp(min=1))
            x_t = self.hide(x0, hidden)
            nats = self.emission.nats(predict(x_t, t).pred, x_t, x0, hidden, self.mask_id)
            out += nats.to(torch.float64).flatten(1).sum(1) * total / count / draws
        return out


def bits_per_element(nats: Float[Tensor, "b"], elements: int) -> Float[Tensor, "b"]:
    """A `nelbo` in bits an element (bits per dimension, per character ...)."""
    check(elements >= 1, "elements", elements, "at least 1")
    return nats / (elements * torch.log(torch.tensor(2.0, dtype=torch.float64)).item())

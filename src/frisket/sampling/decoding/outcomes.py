"""One draw for what a hidden id becomes: any symbol, or still hidden.

Source: `ancestral_sample_step` and `topp_sample_step` in md4/models/diffusion/md4.py of google-deepmind/md4 (arXiv
2406.04329, read for facts). Symbol v has the chance p_v (the reveal chance of v) and staying hidden the rest. Where all
symbols have one reveal chance this is the law of `decoder/ancestral`, which runs the model less often; where they
differ (`process/masked-by-symbol`), whether an id is revealed depends on what it is, and only this decoder is exact.
Shapes: b rows, n tokens, k symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.sampling.base import Moment
from frisket.sampling.decoding.proposals import sharpen
from frisket.sampling.hiding import hidden_of

CITE_MD4 = "Shi et al. Simplified and Generalized Masked Diffusion for Discrete Data. 2024. arXiv:2406.04329"


@register("decoder/outcomes", cite=CITE_MD4)
@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """temperature, top_p: of the symbols' probabilities, before the reveal chances (official text samples use 0.98 in
    one variant)."""

    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self):
        check(self.temperature > 0, "decoder.temperature", self.temperature, "positive")
        check(0 < self.top_p <= 1, "decoder.top_p", self.top_p, "above 0 and at most 1")

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        """Visible ids stay; at s = 0 every reveal chance is 1, so nothing stays hidden."""
        hidden = hidden_of(at.process, x)
        if not bool(hidden.any()):
            return x
        chance = getattr(at.process, "reveal_chance", None)
        if chance is None:
            raise FrisketError(f"{type(at.process).__name__} states no chance of being revealed")
        logits = at.evaluate(x, t).logits
        assert logits is not None
        reveal = chance(t.to(torch.float64), s.to(torch.float64))
        reveal = reveal.reshape(len(x), 1, -1)  # (b, 1, k), or (b, 1, 1) where all symbols have one
        log_p = sharpen(logits.flatten(1, -2), self.temperature, self.top_p)
        chances = (log_p.exp() * reveal).cumsum(-1)  # (b, n, k)
        u = at.step.draw("decoder/outcome", (log_p.shape[1],), "uniform")
        if bool((s <= 0).all()):
            u = u * chances[..., -1]  # rounding may keep the sum below 1
        drawn = torch.searchsorted(chances, u[..., None].contiguous(), right=True)[..., 0]
        last = log_p.shape[-1] - 1 - (log_p > -torch.inf).flip(-1).to(torch.uint8).argmax(-1)
        drawn = torch.minimum(drawn, last) if bool((s <= 0).all()) else drawn
        return torch.where(hidden, drawn.reshape(x.shape), x)

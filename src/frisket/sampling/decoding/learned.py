"""A learned policy as an order and a select: a small network scores every place, each is revealed by its own chance.

arXiv 2512.09106. The network reads how sure the model is at every place, what is hidden and how much of it, and nothing
else: no ids, no hidden states. It is a part of the sampled model (`edit/reveal-policy`), so it is saved with it, and
`task/policy` trains it. Official code could not be had; sizes and features follow the paper's public description, see
`adapters/policy.py`.
Shapes: r rows, n tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.sampling.decoding.orders import Proposed
from frisket.sampling.decoding.selects import Hidden, top

CITE_POLICY = "Jazbec et al. Learning Unmasking Policies for Diffusion Language Models. 2025. arXiv:2512.09106"


def policy_of(model: Any) -> Any:
    """The policy that `edit/reveal-policy` gave a model. Raises `FrisketError` if it has none."""
    found = getattr(model, "policy", None)
    if found is None:
        raise FrisketError(f"{type(model).__name__} has no reveal policy; apply RevealPolicy to it and train it")
    return found


@register("order/learned", cite=CITE_POLICY)
@dataclass(frozen=True, kw_only=True)
class Learned:
    """The score of the model's own policy network, the log odds of revealing a place now."""

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]:
        policy = policy_of(proposed.model)
        confidence = proposed.log_p.amax(-1).exp()
        return policy(confidence, proposed.hidden).to(proposed.log_p.dtype)


@register("select/chance", cite=CITE_POLICY)
@dataclass(frozen=True, kw_only=True)
class Chance:
    """Each hidden place by itself with the chance sigmoid(score / temperature), and the best-scored one if none falls.
    temperature 0 reveals every score above 0, so `order/learned` becomes deterministic."""

    reconsiders: ClassVar[bool] = True

    temperature: float = 1.0

    def __post_init__(self):
        check(self.temperature >= 0, "select.temperature", self.temperature, "0 or more")

    def active(self, hidden: Hidden) -> Bool[Tensor, "r"]:
        return hidden.now.any(1)

    def choose(self, hidden: Hidden, scores: Float[Tensor, "r n"], proposed: Proposed) -> Bool[Tensor, "r n"]:
        drawn = self.fallen(hidden.now, scores, hidden.step)
        forced = top(scores, torch.ones(len(scores), dtype=torch.int64, device=scores.device))
        return hidden.now & torch.where(drawn.any(1, keepdim=True), drawn, forced)

    def fallen(self, now: Bool[Tensor, "r n"], scores: Float[Tensor, "r n"], step: Step) -> Bool[Tensor, "r n"]:
        """What its own draw reveals of the hidden places `now`; none in rows where the best one has to be forced."""
        if self.temperature == 0:
            return now & (scores > 0)
        u = step.draw("decoder/select", (scores.shape[1],), "uniform")
        return now & (u < torch.sigmoid(scores / self.temperature))

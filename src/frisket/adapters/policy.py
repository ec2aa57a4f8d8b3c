"""A reveal policy beside a masked model: a tiny transformer that says of every hidden place whether to reveal it now.

arXiv 2512.09106: one transformer block over the model's confidences and the mask, modulated by how far the run is; it
sees neither ids nor hidden states. The paper's code could not be had: width, the two scales of the confidence (itself
and the logarithm of its distance from 1, since what matters lies there), the share of hidden places as time, and where
it starts are our choice. Where random choices solve nothing, an undecided policy never earns anything to learn from, so
it starts as a soft threshold on the confidence and learns what to add to that.
The base model's own forward is untouched bit for bit; `order/learned` asks the policy.
Shapes: r rows, n tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.edits import apply_edits
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.init import materialise
from frisket.models.layers.ends import Patches
from frisket.sampling.decoding.learned import CITE_POLICY
from frisket.sampling.pipeline import Pipeline

FEATURES = 3
SUREST = 1e-6


@register("edit/reveal-policy", cite=CITE_POLICY)
@dataclass(frozen=True, kw_only=True)
class RevealPolicy:
    """length: tokens of a state (others work too, with positions computed for them). at, slope: the fixed part of the
    log odds, slope x (log(1 - at) - log(1 - confidence)): even chances at confidence `at`; slope 0 starts undecided.
    network: reads a state of three channels, gives what is added to that, nothing at first."""

    length: int
    at: float = 0.95
    slope: float = 2.0
    network: Transformer = Transformer(width=32, heads=4, input=Patches(patch=1), blocks=repeat(Block(), 1))

    def __post_init__(self):
        check(self.length >= 1, "edit.length", self.length, "at least 1")
        check(0 <= self.at < 1, "edit.at", self.at, "in [0, 1)")
        check(self.slope >= 0, "edit.slope", self.slope, "0 or more")

    def build(self, model: nn.Module) -> None:
        """Add the fresh policy as `model.policy`. Raises `FrisketError` if the model has one."""
        if hasattr(model, "policy"):
            raise FrisketError(f"{type(model).__name__} has a policy already; a model has one at a time")
        device = next(model.parameters()).device
        with torch.device(device):
            model.policy = PolicyNetwork(self)

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(weights)


class PolicyNetwork(nn.Module):
    """Log odds of revealing each place now."""

    def __init__(self, config: RevealPolicy):
        super().__init__()
        self.even, self.slope = -math.log(1 - config.at), config.slope
        spec = Spec(kind="continuous", shape=(FEATURES, config.length))
        self.inner = config.network.fit(spec, 1, {}).build()

    def forward(self, confidence: Float[Tensor, "r n"], hidden: Bool[Tensor, "r n"]) -> Float[Tensor, "r n"]:
        """confidence: probability of the model's best id, before any temperature; 1 counts at visible places."""
        sure = confidence.to(torch.float64).masked_fill(~hidden, 1.0)
        close = -torch.log((1 - sure).clamp(min=SUREST))
        state = torch.stack([sure, close / -math.log(SUREST), hidden.to(sure.dtype)], dim=1).to(torch.float32)
        share = hidden.to(torch.float32).mean(1)
        start = self.slope * (close - self.even)
        return start.to(torch.float32) + self.inner(state, 1000 * share).pred[:, 0]


@register("prepare/reveal-policy", cite=CITE_POLICY)
@dataclass(frozen=True, kw_only=True)
class AddRevealPolicy:
    """Gives the pipeline's model a fresh policy of the state's length. edit: its network; the length given there is
    replaced."""

    edit: RevealPolicy = RevealPolicy(length=1)

    def apply(self, pipeline: Pipeline, data: Data, needs: Mapping[str, Pipeline], seed: int) -> Pipeline:
        edit = replace(self.edit, length=math.prod(pipeline.spec.shape))
        model = apply_edits(pipeline.model, [edit])
        materialise(model.policy, seed)  # type: ignore[arg-type]
        return pipeline

"""Alignment with an encoder: what an early block makes of the noisy state, projected, points where a frozen encoder's
features of the clean data point.

REPA (arXiv 2410.06940; facts from sihyun-yu/REPA loss.py, train.py, models/sit.py): tokens behind block `block`, in front
of any final norm, through a projector; minus the cosine to the target's token at the same place, mean over tokens. The
gradient reaches the projector and all in front of the tap, and nothing behind it. The encoder sees the data as the set
gives them. Where the state has a vector beside its grid (REG), its token is aligned with the target's token of the whole item.
Several encoders are several objectives (published: the mean over encoders). Where a token plan has left
tokens out at this block, those that are there are compared.
Shapes: b batch, n tokens, d width, z target's width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.objectives.base import Pass
from frisket.tasks.objectives.distances import Cosine
from frisket.tasks.objectives.projector import Projector
from frisket.tasks.objectives.taps import same_tokens, site_of, state_tokens, token_count
from frisket.tasks.objectives.targets import Encoder, Target

CITE = (
    "Yu, Kwak, Jang, Jeong, Huang, Shin, Xie. Representation Alignment for Generation: Training Diffusion Transformers Is "
    "Easier Than You Think. 2024. arXiv:2410.06940"
)


@register("objective/alignment", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Alignment:
    """block: whose tokens are aligned, numbered from 0 (published depth 8 is block 7). weight: of the term, minus a mean
    cosine. name: of the term; two alignments need two."""

    block: int = 1
    weight: float = 0.5
    target: Target = field(default_factory=Encoder)
    projector: Projector = field(default_factory=Projector)
    name: str = "alignment"

    def __post_init__(self):
        check(self.weight >= 0, "objective.weight", self.weight, "0 or more")

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline]) -> AlignmentModule:
        """Raises `FrisketError` if the model has no such block, or the target other tokens than the model."""
        site = site_of(pipeline.model, self.block, "objective.block")
        target = self.target.build(pipeline, needs)
        count, width = _of_target(target, pipeline)
        own = token_count(pipeline)
        more = 1 if hasattr(target, "whole") and len(pipeline.spec.beside) == 1 else 0
        check(count + more == own, "tokens of the target", count + more, f"{own}, those of the model, on the same grid")
        return AlignmentModule(self, site, target, self.projector.build(pipeline.model.sizes.width, width), own, more)  # type: ignore[union-attr,arg-type]

    def step_macs(self, experiment: Any, forward: int) -> float:
        """The target's forward, and the projector's forward and backward at every token."""
        model = experiment.model
        tokens, width = model.input.grid.tokens + len(getattr(model, "beside", ())), model.width
        target = self.target.macs(experiment)
        return target + 3.0 * tokens * self.projector.macs(width, self.target.width_in(experiment))


class AlignmentModule(nn.Module):
    """A built `Alignment`: its projector learns, its target is frozen."""

    fixed = ("target",)

    def __init__(self, config: Alignment, site: str, target: nn.Module, projector: nn.Module, tokens: int, more: int):
        super().__init__()
        self.config, self.sites, self.tokens, self.more = config, (site,), tokens, more
        self.target, self.projector = target.requires_grad_(False), projector

    def loss(self, seen: Pass) -> dict[str, Float[Tensor, "b"]]:
        """The term, in [-weight, weight]; -weight where every projected token is a positive multiple of its target."""
        h, ids = state_tokens(seen.taps[self.sites[0]], self.tokens)
        self.target.eval()
        with torch.no_grad():
            wanted = self.target.whole(seen.batch["x"]) if self.more else self.target(seen.batch["x"])  # type: ignore[operator]
        cosine = 1 - Cosine().between(self.projector(h), same_tokens(wanted, ids))
        return {self.config.name: -self.config.weight * cosine}


@torch.no_grad()
def _of_target(target: nn.Module, pipeline: Pipeline) -> tuple[int, int]:
    """How many tokens a target gives for one item of the data, and their width."""
    shape = target.eval()(torch.zeros(1, *pipeline.info.shape, device=pipeline.device)).shape
    return shape[1], shape[2]

"""Folding what was trained wide into the layers that compute the same: products of matrices, sums of convolutions.

RepVGG's idea (arXiv 2101.03697) as U-DiT uses it (`layers.depthwise`). Outputs stay equal up to rounding; a model with
nothing to fold is left as it is, so folding twice changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from frisket.core.registry import register
from frisket.models.block import Block, BlockModule, Branch
from frisket.models.init import build_real
from frisket.models.layers.depthwise import Depthwise, Reparameterised, folded

WIDE = re.compile(r"(.*\bbranches\.\w+\.mixer\.)up\.1\.weight")


@register("edit/fold_convolutions")
@dataclass(frozen=True, kw_only=True)
class FoldConvolutions:
    """Every `ffn/reparameterised` of the model's blocks becomes the `ffn/depthwise` that computes the same."""

    def build(self, model: nn.Module) -> None:
        device = next(model.parameters()).device
        for prefix, block in list(model.named_modules()):
            if not isinstance(block, BlockModule):
                continue
            block.config = fold_block(before := block.config)
            for old, new in zip(before.branches, block.config.branches, strict=True):
                if new != old:
                    place = f"{prefix}.branches.{new.name}.mixer."
                    made = build_real(lambda m=new.mixer, s=block.sizes: m.build(s), place, device)
                    block.branches[new.name].mixer = made

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The old weights, those of wide mixers folded."""
        out = dict(weights)
        for prefix in [found[1] for name in weights if (found := WIDE.fullmatch(name))]:
            own = {name.removeprefix(prefix): out.pop(name) for name in weights if name.startswith(prefix)}
            out |= {f"{prefix}{name}": value for name, value in folded(own).items()}
        return out


def fold_block(block: Block) -> Block:
    """The block with plain mixers in place of wide ones."""

    def plain(branch: Branch) -> Branch:
        wide = branch.mixer
        return replace(branch, mixer=Depthwise(ratio=wide.ratio)) if isinstance(wide, Reparameterised) else branch

    return replace(block, branches=tuple(plain(branch) for branch in block.branches))

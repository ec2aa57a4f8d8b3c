"""From one feed-forward part to a mixture of experts that all start as its copies.

DiT-MoE's (arXiv 2407.11633; facts from feizc/DiT-MoE upcycle.py: every expert is a copy, the router is normal with 0.02).
The official source is itself a mixture, whose first expert is copied; here it is whatever feed-forward part the blocks
have. With the gates of the chosen summing to one the new model computes what the old one did; with plain softmax gates,
as the official code has them, it computes less than that (their sum is below one), and training has to make up for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.block import BlockModule
from frisket.models.init import build_real
from frisket.models.layers.experts import Experts
from frisket.models.layers.routers import Balance, BatchBalance, Renormalised, Router
from frisket.models.numbering import blocks_of


@register("edit/upcycle")
@dataclass(frozen=True, kw_only=True)
class Upcycle:
    """experts, active, router, balance: of the mixture (`ffn/experts`), which shares nothing else. branch: that becomes
    one. blocks: by number."""

    blocks: tuple[int, ...]
    experts: int = 8
    active: int = 2
    branch: str = "ffn"
    router: Router = Renormalised()
    balance: Balance | None = BatchBalance()

    def __post_init__(self):
        good = len(set(self.blocks)) == len(self.blocks) and all(i >= 0 for i in self.blocks) and bool(self.blocks)
        check(good, "edit.blocks", self.blocks, "different numbers from 0 up, at least one")
        check(1 <= self.active <= self.experts, "edit.active", self.active, f"in 1..{self.experts}")

    def build(self, model: nn.Module) -> None:
        """Raises `FrisketError` if the model lacks such a block, or a block such a branch, or that is a mixture."""
        blocks, device = blocks_of(model), next(model.parameters()).device
        check(max(self.blocks) < len(blocks), "edit.blocks", self.blocks, f"below {len(blocks)}")
        for i in self.blocks:
            block = blocks[i]
            if not isinstance(block, BlockModule) or self.branch not in block.branches:
                raise FrisketError(f"block {i} has no branch {self.branch!r} to upcycle")
            number = list(block.branches).index(self.branch)
            old = block.config.branches[number]
            check(not isinstance(old.mixer, Experts), f"branch {self.branch!r} of block {i}", "experts", "no mixture")
            mixer = Experts(
                experts=self.experts, active=self.active, expert=old.mixer, shared=None, router=self.router,
                balance=self.balance,
            )  # fmt: skip
            changed = [replace(b, mixer=mixer) if b is old else b for b in block.config.branches]
            block.config = replace(block.config, branches=tuple(changed))
            place = f"blocks.{i}.branches.{self.branch}.mixer."
            built = build_real(lambda m=mixer, s=block.sizes: m.build(s), place, device)
            block.branches[self.branch].mixer = built

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every expert gets the old part's weights; the routers keep their fresh ones."""
        out = dict(weights)
        for i in self.blocks:
            prefix = f"blocks.{i}.branches.{self.branch}.mixer."
            for name in [name for name in out if name.startswith(prefix)]:
                value = out.pop(name)
                rest = name.removeprefix(prefix)
                out |= {f"{prefix}experts.{e}.{rest}": value for e in range(self.experts)}
        return out

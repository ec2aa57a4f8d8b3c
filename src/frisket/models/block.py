"""A block: an ordered list of named branches, each adding `gate * branch(modulate(norm(x)))`.

DiT is `attn, ffn`; PixArt `attn, cross, ffn`; any other order is another list. Modulation is at block level: one layer
gives the numbers of all branches. A branch is a site that takes the residual tokens and returns the *ungated* output,
so it may be answered from a cache or computed for some tokens only.
Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.sites import Dispatch
from frisket.core.step import current_step
from frisket.models.attend import Placing
from frisket.models.init import ZEROS, linear
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import BranchCall, Mixer, Side, Sizes
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.modulation import AdaLNZero, Modulation, modulate, spread
from frisket.models.layers.norms import LayerNorm, Norm
from frisket.models.tokens import Tokens

Use = Literal["shift", "scale", "gate"]
ALL_USES: tuple[Use, ...] = ("shift", "scale", "gate")


@runtime_checkable
class Behind(Protocol):
    """A registered value ("behind/..."). Its module takes a branch's gated output and returns what is added."""

    def build(self, sizes: Sizes) -> nn.Module: ...


@register("behind/linear")
@dataclass(frozen=True, kw_only=True)
class ZeroLinear:
    """A linear layer that starts at zero, so a branch that is not gated begins silent (PT-DiT, arXiv 2409.04005)."""

    def build(self, sizes: Sizes) -> nn.Module:
        return linear(sizes.width, sizes.width, law=ZEROS)


@register("block/branch")
@dataclass(frozen=True, kw_only=True)
class Branch:
    """One branch. name: its site. uses: which of shift, scale and gate the modulation gives it, in this order. dropout:
    of the output, before the gate, drawn from the current step while training. behind: a layer between the gate and the
    residual. after: a norm of the sum (post-norm, as BERT)."""

    name: str = "attn"
    mixer: Mixer = Attention()
    norm: Norm | None = LayerNorm()
    uses: tuple[Use, ...] = ALL_USES
    dropout: float = 0.0
    behind: Behind | None = None
    after: Norm | None = None

    def __post_init__(self):
        check(self.name.isidentifier(), "branch.name", self.name, "an identifier")
        in_order = tuple(u for u in ALL_USES if u in self.uses) == tuple(self.uses)
        check(in_order, "branch.uses", self.uses, f"a selection of {ALL_USES} in this order")
        check(0.0 <= self.dropout < 1.0, "branch.dropout", self.dropout, "in [0, 1)")


@register("block/branches")
@dataclass(frozen=True, kw_only=True)
class Block:
    """branches: in the order they are added. modulation: of the whole block."""

    branches: tuple[Branch, ...] = (Branch(name="attn", mixer=Attention()), Branch(name="ffn", mixer=Gelu()))
    modulation: Modulation = AdaLNZero()

    def __post_init__(self):
        names = [branch.name for branch in self.branches]
        check(bool(names) and len(set(names)) == len(names), "block.branches", names, "at least one, names different")

    @property
    def numbers(self) -> int:
        """How many vectors of the block's width its modulation gives."""
        return sum(len(branch.uses) for branch in self.branches)

    def build(self, sizes: Sizes) -> BlockModule:
        return BlockModule(self, sizes)


def repeat(block: Block, times: int) -> tuple[Block, ...]:
    """The same block, written `times` times; each gets weights of its own."""
    return (block,) * times


class BranchModule(nn.Module):
    """norm -> modulate -> mixer."""

    def __init__(self, config: Branch, sizes: Sizes):
        super().__init__()
        self.norm = config.norm.build(sizes.width) if config.norm is not None else None
        self.mixer = config.mixer.build(sizes)
        self.behind = config.behind.build(sizes) if config.behind is not None else None
        self.after = config.after.build(sizes.width) if config.after is not None else None

    def forward(
        self, call: BranchCall, shift: Tensor | None, scale: Tensor | None, tokens: Tokens
    ) -> Float[Tensor, "b n d"]:
        h = tokens.h if self.norm is None else self.norm(tokens.h)
        shift = None if shift is None else spread(shift, tokens.tags)
        scale = None if scale is None else spread(scale, tokens.tags)
        return self.mixer(tokens.with_h(modulate(h, shift, scale)), call)


class BlockModule(nn.Module):
    """A built block. Called with its site, which belongs to the position in the call, not to the module."""

    def __init__(self, config: Block, sizes: Sizes):
        super().__init__()
        self.config, self.sizes, self.width = config, sizes, sizes.width
        self.branches = nn.ModuleDict({branch.name: BranchModule(branch, sizes) for branch in config.branches})
        self.modulation = config.modulation.build(sizes.condition, sizes.width, config.numbers)

    def forward(self, site: str, side: Side, at: Dispatch, positions: Placing | None, tokens: Tokens) -> Tokens:
        numbers = self.modulation(side)
        given = iter(()) if numbers is None else iter(numbers.split(self.width, dim=-1))
        for config, branch in zip(self.config.branches, self.branches.values(), strict=True):
            uses = config.uses if numbers is not None else ()
            shift, scale, gate = (next(given) if use in uses else None for use in ALL_USES)
            place = at.inside(site, config.name)
            call = BranchCall(side, at, at.inside(place, "attend"), positions, at.inside(place, "hidden"), place)
            out = at(place, partial(branch, call, shift, scale), tokens)
            if config.dropout and self.training:
                out = drop(out, config.dropout, f"{site}.{config.name}")
            added = _add(tokens, out, gate, branch.behind)  # type: ignore[arg-type]
            tokens = tokens.with_h(added if branch.after is None else branch.after(added))  # type: ignore[operator]
        return tokens

    def sites(self, site: str) -> list[str]:
        """The sites inside this block when it stands at `site`."""
        out = []
        for name, branch in self.branches.items():
            out.append(f"{site}.{name}")
            if hasattr(branch.mixer, "attends"):
                out.append(f"{site}.{name}.attend")
            if hasattr(branch.mixer, "hides"):
                out.append(f"{site}.{name}.hidden")
            out.extend(f"{site}.{name}.{inner}" for inner in getattr(branch.mixer, "places", ()))
        return out


def _add(tokens: Tokens, out: Tensor, gate: Tensor | None, behind: nn.Module | None) -> Tensor:
    if behind is not None:
        return tokens.h + behind(out if gate is None else spread(gate, tokens.tags) * out)
    if gate is None:
        return tokens.h + out
    return torch.addcmul(tokens.h, spread(gate, tokens.tags), out)


def drop(x: Float[Tensor, "b n d"], rate: float, place: str) -> Float[Tensor, "b n d"]:
    """Dropout drawn from the step in force; the same step gives the same numbers. Raises if no step is in force."""
    step = current_step()
    drawn = step.draw(f"dropout/{step.call}/{place}", tuple(x.shape[1:]), "uniform")
    return x * (drawn >= rate).to(x.device, x.dtype) / (1.0 - rate)

"""Condition encoders: blocks of their own turn the state, its time and its conditions into one condition vector a token.

DDT (arXiv 2504.05741; facts from MCG-NJU/DDT decoupled_improved_dit.py): the backbone's own blocks are then a decoder,
modulated token by token by SiLU(time + encoder output) and told nothing else of class and time. The encoder reads the
state by an input layer of its own. What it gives is the site `encoder`, so a run may compute it at some steps only.
Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.sites import Dispatch, Handler
from frisket.core.step import Step
from frisket.models.attend import Placing
from frisket.models.block import Block, BlockModule, repeat
from frisket.models.layers.base import Side
from frisket.models.tokens import Tokens

CITE = "Wang et al. DDT: Decoupled Diffusion Transformer. 2025. arXiv:2504.05741"
SITE = "encoder"


@runtime_checkable
class Encoder(Protocol):
    """A registered value ("encoder/..."). blocks: of the encoder; the backbone builds them in its own sizes, with an
    input layer like its own."""

    @property
    def blocks(self) -> tuple[Block, ...]: ...

    def build(self, inputs: nn.Module, blocks: list[BlockModule]) -> nn.Module:
        """A module called as `module(read, side, at, placing)`; see `TokenEncoderModule`."""
        ...


@register("encoder/tokens", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class TokenEncoder:
    """Blocks one behind the other, of the backbone's width, which must be the condition vector's too."""

    blocks: tuple[Block, ...] = repeat(Block(), 4)

    def __post_init__(self):
        check(len(self.blocks) > 0, "encoder.blocks", self.blocks, "at least one block")

    def build(self, inputs: nn.Module, blocks: list[BlockModule]) -> TokenEncoderModule:
        return TokenEncoderModule(inputs, blocks)


class TokenEncoderModule(nn.Module):
    """A built `TokenEncoder`."""

    def __init__(self, inputs: nn.Module, blocks: list[BlockModule]):
        super().__init__()
        self.input, self.blocks = inputs, nn.ModuleList(blocks)

    def forward(
        self, read: Callable[[nn.Module], Tokens], side: Side, at: Dispatch, placing: Placing | None
    ) -> Float[Tensor, "b n d"]:
        """What the encoder adds to the time embedding, for each of the state's tokens. read: the tokens that an input
        layer makes of the state."""
        tokens = read(self.input)
        for i, block in enumerate(self.blocks):
            site = f"{SITE}.block[{i}]"
            tokens = at(site, partial(block, site, side, at, placing), tokens)
        return tokens.h

    def sites(self) -> list[str]:
        """The encoder's own site, then those inside it."""
        inner = [(f"{SITE}.block[{i}]", block) for i, block in enumerate(self.blocks)]
        return [SITE, *(s for site, block in inner for s in (site, *block.sites(site)))]  # type: ignore[operator]


def given(vectors: Float[Tensor, "b n d"]) -> Handler:
    """A handler for the site `encoder` that answers with what the site gave before: `install(model, {"encoder":
    given(kept)})` goes on with a kept encoding without computing it."""

    def answer(call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Tensor:
        return vectors

    return answer

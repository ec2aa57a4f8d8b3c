"""Heads that denoise tokens given a vector for each: a small network with a time of its own, at the end of a large one.

`head/token` sees one token at a time (MAR's DiffLoss, arXiv 2406.11838: residual MLP blocks), `head/grid` all tokens of
a level at once (Hi-MAR, arXiv 2505.20288: a DiT with a condition a token). Facts from LTH14/mar models/diffloss.py and
HiDream-ai/himar models/models.py; the class that himar passes to its head is read by nothing there and is left out.
Shapes: b rows, n tokens, m asked tokens, d numbers of a token, z width of the vectors, w width of the head, o numbers
given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from frisket.core.registry import register
from frisket.core.sites import Dispatch
from frisket.models.block import Block, Branch, repeat
from frisket.models.grid import Grid
from frisket.models.init import ZEROS, linear
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import Side, Sizes
from frisket.models.layers.embedders import Timestep
from frisket.models.layers.ffn import Gelu, Silu
from frisket.models.layers.modulation import AdaLNZero, modulate, spread
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.positions import NoPositions, Positions, SinCos
from frisket.models.tokens import Tags, Tokens

CITE_MAR = "Li et al. Autoregressive Image Generation without Vector Quantization. 2024. arXiv:2406.11838"
CITE_HIMAR = "Zheng et al. Hierarchical Masked Autoregressive Models. 2025. arXiv:2505.20288"


@runtime_checkable
class TokenHead(Protocol):
    """A registered value ("head/..."). The module is called with noisy tokens (b, n, d), times (b, n), vectors
    (b, n, z) and who is asked (b, n), and returns (b, n, o), zeros where nobody is asked."""

    def build(self, numbers: int, given: int, vectors: int, grid: Grid) -> nn.Module: ...


@register("head/token", cite=CITE_MAR)
@dataclass(frozen=True, kw_only=True)
class EachToken:
    """`depth` residual MLP blocks of `width`, on each asked token by itself."""

    width: int = 64
    depth: int = 3

    def build(self, numbers: int, given: int, vectors: int, grid: Grid) -> nn.Module:
        ffn = Branch(name="ffn", mixer=Silu(), norm=LayerNorm(affine="both"))
        inner = _Denoiser(self.width, 1, repeat(Block(branches=(ffn,)), self.depth), NoPositions(), numbers, given,
                          vectors, Grid.of((1,)))  # fmt: skip
        return _EachToken(inner)


@register("head/grid", cite=CITE_HIMAR)
@dataclass(frozen=True, kw_only=True)
class WholeGrid:
    """`depth` DiT blocks of `width` over all tokens of the level, with fixed positions."""

    width: int = 64
    depth: int = 3
    heads: int = 4
    ratio: float = 4.0

    def build(self, numbers: int, given: int, vectors: int, grid: Grid) -> nn.Module:
        attn, ffn = Branch(name="attn", mixer=Attention()), Branch(name="ffn", mixer=Gelu(ratio=self.ratio))
        blocks = repeat(Block(branches=(attn, ffn)), self.depth)
        return _WholeGrid(_Denoiser(self.width, self.heads, blocks, SinCos(), numbers, given, vectors, grid))


class _Denoiser(nn.Module):
    """Blocks modulated by time and vector, a token at a time."""

    def __init__(
        self, width: int, heads: int, blocks: tuple[Block, ...], positions: Positions, numbers: int, given: int,
        vectors: int, grid: Grid,
    ):  # fmt: skip
        super().__init__()
        sizes = Sizes(width=width, heads=heads, condition=width, grid=grid)
        self.grid, self.given = grid, given
        self.input, self.condition = linear(numbers, width, role="input"), linear(vectors, width)
        self.time = Timestep().build(width)
        self.positions = positions.build(sizes)
        self.blocks = nn.ModuleList([block.build(sizes) for block in blocks])
        self.norm = LayerNorm().build(width)
        self.modulation = AdaLNZero().build(width, width, 2)
        self.output = linear(width, given, law=ZEROS, role="output")

    def forward(
        self, noisy: Float[Tensor, "b n d"], time: Float[Tensor, "b #n"], vectors: Float[Tensor, "b n z"]
    ) -> Float[Tensor, "b n o"]:
        n = noisy.shape[1]
        vector = nn.functional.silu(self.time(time, len(time), time.device) + self.condition(vectors))  # (b, n, w)
        tags = Tags(n=n, time=torch.arange(n, device=noisy.device), coords=None, extent=self.grid.axes)
        side = Side(grid=self.grid, state=n, raw=noisy, vector=vector)
        tokens = Tokens(self.positions(self.input(noisy), tags), tags)
        at = Dispatch(self)
        for block in self.blocks:
            tokens = block("", side, at, None, tokens)
        shift, scale = self.modulation(side).chunk(2, dim=-1)
        return self.output(modulate(self.norm(tokens.h), spread(shift, tags), spread(scale, tags)))


class _EachToken(nn.Module):
    def __init__(self, inner: _Denoiser):
        super().__init__()
        self.inner = inner

    def forward(
        self, noisy: Float[Tensor, "b n d"], time: Float[Tensor, "b n"], vectors: Float[Tensor, "b n z"],
        asked: Bool[Tensor, "b n"],
    ) -> Float[Tensor, "b n o"]:  # fmt: skip
        if noisy.is_meta:  # who is asked is not known where nothing is computed
            flat = self.inner(noisy.flatten(0, 1)[:, None], time.flatten()[:, None], vectors.flatten(0, 1)[:, None])
            return flat.reshape(*noisy.shape[:2], -1)
        each = self.inner(noisy[asked][:, None], time[asked][:, None], vectors[asked][:, None])[:, 0]  # (m, o)
        out = each.new_zeros(*noisy.shape[:2], each.shape[-1])
        out[asked] = each
        return out


class _WholeGrid(nn.Module):
    def __init__(self, inner: _Denoiser):
        super().__init__()
        self.inner = inner

    def forward(
        self, noisy: Float[Tensor, "b n d"], time: Float[Tensor, "b n"], vectors: Float[Tensor, "b n z"],
        asked: Bool[Tensor, "b n"],
    ) -> Float[Tensor, "b n o"]:  # fmt: skip
        out = self.inner(noisy.nan_to_num(), time[:, :1], vectors)  # a level has one time
        return out.masked_fill(~asked.unsqueeze(-1), 0.0)

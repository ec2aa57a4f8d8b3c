"""The query decoder: learned queries read maps of several sizes under a focus, talk to each other, and predict.

Mask2Former (arXiv 2112.01527, section 3.2; facts from facebookresearch/Mask2Former mask2former_transformer_decoder.py):
cross-attention comes first, then self-attention, then a feed-forward part, each added and then normed; query and cell
positions enter queries and keys, never values; layer i reads map i modulo their number, coarsest first; class and mask
are predicted from the queries before the first layer and after every layer, and each prediction is the next layer's
focus.
Shapes: b batch, q queries, m cells of a map, d width, k classes, h height, w width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.sites import Dispatch
from frisket.models.attend import ALL, attend
from frisket.models.backbones.queries.base import Refined
from frisket.models.backbones.queries.focus import Focus
from frisket.models.init import Normal, linear, parameter
from frisket.models.layers.maps import conv, sine_positions
from frisket.models.layers.norms import LayerNorm
from frisket.models.masks.base import AttentionMask
from frisket.models.tokens import Tags

NORM = LayerNorm(eps=1e-5, affine="both")


@dataclass(frozen=True)
class Prediction:
    """classes: logits (b, q, k + 1), the last for no object. masks: logits (b, q, h, w)."""

    classes: Float[Tensor, "b q k"]
    masks: Float[Tensor, "b q h w"]


@dataclass(frozen=True)
class Memory:
    """One map as cells: values (b, m, d), with the positions that keys add (m, d), and its size."""

    cells: Float[Tensor, "b m d"]
    places: Float[Tensor, "m d"]
    size: tuple[int, int]


class QueryDecoder(nn.Module):
    """queries: how many. layers: how many. levels: maps it reads. hidden: width of the feed-forward parts. project: a
    1x1 convolution before each map, for memories of another width or where a checkpoint has one."""

    query: Tensor
    place: Tensor
    level: Tensor

    def __init__(
        self, focus: Focus, *, width: int, heads: int, classes: int, queries: int, layers: int, levels: int,
        hidden: int, project: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.focus, self.width, self.levels = focus, width, levels
        parameter(self, "query", (queries, width), Normal(1.0), "embedding")
        parameter(self, "place", (queries, width), Normal(1.0), "embedding")
        parameter(self, "level", (levels, width), Normal(1.0), "embedding")
        self.inputs = nn.ModuleList(conv(width, width) if project else nn.Identity() for _ in range(levels))
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden) for _ in range(layers))
        self.norm = NORM.build(width)
        self.classes = linear(width, classes + 1, role="output")
        self.masks = nn.ModuleList(linear(width, width) for _ in range(3))

    def forward(self, refined: Refined, at: Dispatch) -> list[Prediction]:
        """The predictions before the first layer and after each, in order."""
        memories = [self._memory(i, x) for i, x in enumerate(refined.memory)]
        x = self.query.repeat(len(refined.pixels), 1, 1)  # (b, q, d)
        out = [self.predict(x, refined.pixels)]
        for i, layer in enumerate(self.layers):
            memory = memories[i % self.levels]
            mask = self.focus.mask(out[-1].masks, memory.size)
            x = at(f"block[{i}]", layer, x, self.place, memory, mask, at, f"block[{i}]")
            out.append(self.predict(x, refined.pixels))
        return out

    def predict(self, x: Float[Tensor, "b q d"], pixels: Float[Tensor, "b d h w"]) -> Prediction:
        """Class and mask logits of queries; a mask is the product of the query's embedding with each pixel's."""
        x = self.norm(x)
        first, second, third = self.masks
        embedding = third(functional.relu(second(functional.relu(first(x)))))
        b, d, h, w = pixels.shape
        masks = torch.bmm(embedding, pixels.reshape(b, d, h * w)).view(b, -1, h, w)
        return Prediction(self.classes(x), masks)

    def _memory(self, level: int, x: Float[Tensor, "b d h w"]) -> Memory:
        size = (x.shape[2], x.shape[3])
        cells = self.inputs[level](x).flatten(2).transpose(1, 2) + self.level[level]
        return Memory(cells, sine_positions(size, self.width, x.device).to(x.dtype), size)


class DecoderLayer(nn.Module):
    """Cross-attention under a mask, self-attention, feed-forward; each added to its input, then normed."""

    names = ("cross", "attn", "ffn")

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.cross, self.attn = MultiHead(width, heads), MultiHead(width, heads)
        self.up, self.down = linear(width, hidden), linear(hidden, width)
        self.norms = nn.ModuleDict({name: NORM.build(width) for name in self.names})

    def forward(
        self, x: Float[Tensor, "b q d"], place: Float[Tensor, "q d"], memory: Memory, mask: AttentionMask,
        at: Dispatch, site: str,
    ) -> Float[Tensor, "b q d"]:  # fmt: skip
        cells = memory.cells
        named = (x + place, cells + memory.places, cells)
        x = self.norms["cross"](x + at(at.inside(site, "cross"), self.cross, *named, mask, at, at.inside(site, "cross.attend")))
        named = (x + place, x + place, x)
        x = self.norms["attn"](x + at(at.inside(site, "attn"), self.attn, *named, ALL, at, at.inside(site, "attn.attend")))
        return self.norms["ffn"](x + at(at.inside(site, "ffn"), self._ffn, x))

    def _ffn(self, x: Tensor) -> Tensor:
        return self.down(functional.relu(self.up(x)))


class MultiHead(nn.Module):
    """Attention whose queries, keys and values come from three tensors."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (linear(width, width) for _ in range(4))

    def forward(
        self, q: Float[Tensor, "b n d"], k: Float[Tensor, "b m d"], v: Float[Tensor, "b m d"], mask: AttentionMask,
        at: Dispatch, site: str,
    ) -> Float[Tensor, "b n d"]:  # fmt: skip
        tags = Tags(n=q.shape[1]), Tags(n=k.shape[1])  # fresh: what they remember is of this one mask
        parts = self._split(self.q(q)), self._split(self.k(k)), self._split(self.v(v))
        out = at(site, attend, *parts, *tags, mask)
        return self.out(out.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(b, n, d) -> (b, h, n, d / h)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

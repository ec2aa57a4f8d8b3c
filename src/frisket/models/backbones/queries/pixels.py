"""Pixel decoders: from a trunk's maps to an embedding a pixel and the maps that queries read.

`Deformable` is Mask2Former's (arXiv 2112.01527; facts from facebookresearch/Mask2Former pixel_decoder/msdeformattn.py):
the coarsest `levels` maps are refined together by layers of multi-scale deformable attention, then carried to the finest
map by feature-pyramid steps (a lateral 1x1 convolution, a bilinear enlargement, a 3x3 convolution). `Pyramid` is the
feature pyramid alone (arXiv 1612.03144), the cheaper choice of the paper's comparison of pixel decoders; the paper's adds
one transformer layer to the coarsest map of FPN, which is left out here.
The dropout of 0 of the published configuration is not a field.
Shapes: b batch, d width, l maps, n cells of the refined maps, h height, w width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.backbones.queries.base import Refined
from frisket.models.init import Normal, linear, parameter
from frisket.models.layers.deformable import DeformableAttention
from frisket.models.layers.maps import GroupNorm, MapNorm, conv, sine_positions
from frisket.models.layers.norms import LayerNorm

NORM = LayerNorm(eps=1e-5, affine="both")


@register("pixels/deformable", cite="Zhu et al. Deformable DETR. 2020. arXiv:2010.04159")
@dataclass(frozen=True, kw_only=True)
class Deformable:
    """layers: of deformable attention over the coarsest `levels` maps. points: a head and a map. hidden: width of the
    layers' feed-forward part over the width. norm: after the convolutions."""

    layers: int = 2
    levels: int = 3
    points: int = 4
    hidden: float = 4.0
    norm: MapNorm = GroupNorm()

    def __post_init__(self):
        check(self.layers >= 1, "pixels.layers", self.layers, "1 or more; without any it is pixels/pyramid")
        check(self.levels >= 1, "pixels.levels", self.levels, "1 or more")
        check(self.points >= 1, "pixels.points", self.points, "1 or more")

    def build(self, channels: Sequence[int], width: int, heads: int) -> nn.Module:
        _check_levels(self.levels, channels)
        return _Deformable(self, channels, width, heads)


@register("pixels/pyramid", cite="Lin et al. Feature Pyramid Networks for Object Detection. 2016. arXiv:1612.03144")
@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """The feature pyramid alone; its coarsest `levels` maps are the memory."""

    levels: int = 3
    norm: MapNorm = GroupNorm()

    def __post_init__(self):
        check(self.levels >= 1, "pixels.levels", self.levels, "1 or more")

    def build(self, channels: Sequence[int], width: int, heads: int) -> nn.Module:
        _check_levels(self.levels, channels)
        return _Pyramid(self, channels, width)


def _check_levels(levels: int, channels: Sequence[int]) -> None:
    check(levels <= len(channels), "pixels.levels", levels, f"at most the {len(channels)} maps of the trunk")


class _Deformable(nn.Module):
    def __init__(self, config: Deformable, channels: Sequence[int], width: int, heads: int):
        super().__init__()
        self.levels = config.levels
        coarse = list(channels)[::-1][: config.levels]
        self.inputs = nn.ModuleList(nn.Sequential(conv(c, width), config.norm.build(width)) for c in coarse)
        parameter(self, "level", (config.levels, width), Normal(1.0), "embedding")
        self.layers = nn.ModuleList(_Layer(config, width, heads) for _ in range(config.layers))
        fine = list(channels)[::-1][config.levels :]
        self.steps = nn.ModuleList(_Step(c, width, config.norm) for c in fine)
        self.pixels = conv(width, width)

    def forward(self, maps: list[Tensor]) -> Refined:
        maps = maps[::-1]
        coarse = [project(x) for project, x in zip(self.inputs, maps[: self.levels], strict=True)]
        out = self._refined(coarse)
        for step, x in zip(self.steps, maps[self.levels :], strict=True):
            out.append(step(x, out[-1]))
        return Refined(self.pixels(out[-1]), out[: self.levels])

    def _refined(self, coarse: list[Tensor]) -> list[Tensor]:
        """The maps after the layers of deformable attention."""
        b, d = coarse[0].shape[:2]
        sizes = [(x.shape[2], x.shape[3]) for x in coarse]
        h = torch.cat([x.flatten(2).transpose(1, 2) for x in coarse], 1)  # (b, n, d)
        device, level = h.device, self.level
        named = torch.cat([sine_positions(s, d, device).to(h.dtype) + level[i] for i, s in enumerate(sizes)])  # type: ignore[index]
        places = torch.cat([centres(s, device) for s in sizes]).to(h.dtype)
        for layer in self.layers:
            h = layer(h, named, places, sizes)
        parts = h.split([rows * columns for rows, columns in sizes], 1)
        return [part.transpose(1, 2).reshape(b, d, *size) for part, size in zip(parts, sizes, strict=True)]


class _Layer(nn.Module):
    """Deformable attention among all cells, then a feed-forward part; norms come last."""

    def __init__(self, config: Deformable, width: int, heads: int):
        super().__init__()
        self.attention = DeformableAttention(width, heads, config.levels, config.points)
        self.up, self.down = linear(width, round(config.hidden * width)), linear(round(config.hidden * width), width)
        self.norms = nn.ModuleList(NORM.build(width) for _ in range(2))

    def forward(
        self, h: Float[Tensor, "b n d"], named: Float[Tensor, "n d"], places: Tensor, sizes: list[tuple[int, int]]
    ) -> Float[Tensor, "b n d"]:
        h = self.norms[0](h + self.attention(h + named, h, places, sizes))
        return self.norms[1](h + self.down(functional.relu(self.up(h))))


class _Step(nn.Module):
    """One step of a feature pyramid: a finer map of the trunk takes in the refined coarser one."""

    def __init__(self, channels: int, width: int, norm: MapNorm):
        super().__init__()
        self.lateral = nn.Sequential(conv(channels, width, bias=False), norm.build(width))
        self.output = nn.Sequential(conv(width, width, 3, bias=False), norm.build(width))

    def forward(self, fine: Tensor, coarse: Float[Tensor, "b d h w"]) -> Tensor:
        fine = self.lateral(fine)
        larger = functional.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return functional.relu(self.output(fine + larger))


class _Pyramid(nn.Module):
    def __init__(self, config: Pyramid, channels: Sequence[int], width: int):
        super().__init__()
        self.levels = config.levels
        coarsest, *fine = list(channels)[::-1]
        self.input = nn.Sequential(conv(coarsest, width, 3, bias=False), config.norm.build(width))
        self.steps = nn.ModuleList(_Step(c, width, config.norm) for c in fine)
        self.pixels = conv(width, width)

    def forward(self, maps: list[Tensor]) -> Refined:
        coarsest, *fine = maps[::-1]
        out = [functional.relu(self.input(coarsest))]
        for step, x in zip(self.steps, fine, strict=True):
            out.append(step(x, out[-1]))
        return Refined(self.pixels(out[-1]), out[: self.levels])


def centres(size: tuple[int, int], device: torch.device | str = "cpu") -> Float[Tensor, "n 2"]:
    """x, y in (0, 1) of every cell's centre, in raster order."""
    h, w = size
    y = (torch.arange(h, device=device) + 0.5) / h
    x = (torch.arange(w, device=device) + 0.5) / w
    return torch.stack([x.expand(h, w), y[:, None].expand(h, w)], -1).reshape(-1, 2)

"""The residual trunk: stages of residual blocks (ResNet, arXiv 1512.03385), each halving the map.

ResNet-50 and ResNet-101 are values of it: bottleneck blocks whose middle convolution carries the stride (as torchvision
and detectron2's default), frozen batch norms, a stem of stride 4. Small trunks take plain blocks, group norms and a stem
of stride 2.
Shapes: b batch, c channels, h height, w width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.init import Law
from frisket.models.layers.maps import FrozenBatchNorm, GroupNorm, Kaiming, MapNorm, conv

EXPANSION = 4
CITE = "He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. 2015. arXiv:1512.03385"


@register("trunk/residual", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Residual:
    """widths, depths: channels and blocks of each stage, finest first. block: "plain" (two 3x3 convolutions) or
    "bottleneck" (1x1, 3x3 at a quarter of the channels, 1x1). stem: the first convolution's "3x3" of stride 2, or
    "7x7" with a max pool, of stride 4."""

    widths: tuple[int, ...] = (32, 48, 64, 96)
    depths: tuple[int, ...] = (1, 1, 1, 1)
    block: Literal["plain", "bottleneck"] = "plain"
    stem: Literal["3x3", "7x7"] = "3x3"
    stem_width: int = 32
    norm: MapNorm = GroupNorm()

    def __post_init__(self):
        check(len(self.widths) >= 2, "trunk.widths", self.widths, "of at least two stages")
        fits = len(self.depths) == len(self.widths) and min(self.depths) >= 1
        check(fits, "trunk.depths", self.depths, f"{len(self.widths)} numbers, each at least 1")
        whole = self.block == "plain" or all(w % EXPANSION == 0 for w in self.widths)
        check(whole, "trunk.widths", self.widths, f"multiples of {EXPANSION} for bottleneck blocks")

    @property
    def channels(self) -> tuple[int, ...]:
        return self.widths

    @property
    def strides(self) -> tuple[int, ...]:
        first = 2 if self.stem == "3x3" else 4
        return tuple(first * 2**i for i in range(len(self.widths)))

    def build(self, channels_in: int) -> nn.Module:
        return _Residual(self, channels_in)


def resnet(depth: int = 50) -> Residual:
    """The published ResNet-50 or ResNet-101, without its classifier."""
    check(depth in (50, 101), "depth", depth, "50 or 101")
    return Residual(
        widths=(256, 512, 1024, 2048), depths=(3, 4, 6 if depth == 50 else 23, 3), block="bottleneck", stem="7x7",
        stem_width=64, norm=FrozenBatchNorm(),
    )  # fmt: skip


class _Residual(nn.Module):
    def __init__(self, config: Residual, channels_in: int):
        super().__init__()
        side = 3 if config.stem == "3x3" else 7
        self.stem = _normed(config, channels_in, config.stem_width, side, 2)
        self.pooled = config.stem == "7x7"
        block = _Plain if config.block == "plain" else _Bottleneck
        stages, last = [], config.stem_width
        for i, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            blocks = [block(config, last if k == 0 else width, width, 2 if i and not k else 1) for k in range(depth)]
            stages.append(nn.Sequential(*blocks))
            last = width
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Float[Tensor, "b c h w"]) -> list[Tensor]:
        x = functional.relu(self.stem(x))
        if self.pooled:
            x = functional.max_pool2d(x, 3, stride=2, padding=1)
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out


class _Block(nn.Module):
    """What both blocks share: the way around. A block that changes the shape has a convolution on it."""

    def __init__(self, config: Residual, channels_in: int, channels: int, stride: int):
        super().__init__()
        changes = stride > 1 or channels_in != channels
        self.around = _normed(config, channels_in, channels, 1, stride) if changes else nn.Identity()


class _Plain(_Block):
    def __init__(self, config: Residual, channels_in: int, channels: int, stride: int):
        super().__init__(config, channels_in, channels, stride)
        self.first = _normed(config, channels_in, channels, 3, stride)
        self.second = _normed(config, channels, channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(functional.relu(self.first(x)))
        return functional.relu(inner + self.around(x))


class _Bottleneck(_Block):
    def __init__(self, config: Residual, channels_in: int, channels: int, stride: int):
        super().__init__(config, channels_in, channels, stride)
        narrow = channels // EXPANSION
        self.first = _normed(config, channels_in, narrow, 1, 1)
        self.second = _normed(config, narrow, narrow, 3, stride)
        self.third = _normed(config, narrow, channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.second(functional.relu(self.first(x))))
        return functional.relu(self.third(inner) + self.around(x))


def _normed(config: Residual, channels_in: int, channels: int, side: int, stride: int) -> nn.Sequential:
    law: Law = Kaiming()
    return nn.Sequential(
        conv(channels_in, channels, side, stride=stride, bias=False, law=law), config.norm.build(channels)
    )

"""An encoder of patches: residual convolutions over a map of tokens, whose mean is classified.

It stands in where published systems read features of a large network trained elsewhere: small enough to be trained on
the set itself, one feature vector for each patch, each seeing its surroundings. The blocks are those of ResNet with the
norm in front (arXiv 1603.05027), at a single resolution.
Shapes: b batch, c channels, n tokens, d width, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.codecs.base import Spec
from frisket.core.condition import Output
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.models.grid import Grid
from frisket.models.init import build_real, linear
from frisket.models.layers.maps import GroupNorm, MapNorm, conv
from frisket.models.layers.norms import LayerNorm


@register("classifier/patch-encoder")
@dataclass(frozen=True, kw_only=True)
class PatchEncoder:
    """width: of a token's features. depth: residual blocks of two 3x3 convolutions. patch: its side in elements of the
    state. channels, size, classes: of the data, set by `fit`."""

    width: int = 64
    depth: int = 3
    patch: int = 2
    norm: MapNorm = GroupNorm()
    channels: int = 1
    size: tuple[int, ...] = (8, 8)
    classes: int = 10

    def __post_init__(self):
        for name in ("width", "depth", "channels", "classes"):
            check(getattr(self, name) >= 1, f"encoder.{name}", getattr(self, name), "at least 1")
        check(len(self.size) == 2, "encoder.size", self.size, "height and width")

    @property
    def grid(self) -> Grid:
        return Grid.of(self.size, self.patch)

    def fit(self, spec: Spec, channels_out: int, classes: Mapping[str, int]) -> PatchEncoder:
        """A copy for another state and set of classes. Raises if the state is no map of patches."""
        fits = spec.kind == "continuous" and len(spec.shape) == 3
        check(fits, "state", (spec.kind, spec.shape), "a continuous one (c, h, w)")
        counted = classes.get("label", self.classes)
        out = replace(self, channels=spec.shape[0], size=tuple(spec.shape[1:]), classes=counted)
        assert out.grid.tokens  # a patch that does not divide the sides is refused here
        return out

    def build(self) -> PatchEncoderModel:
        """The module, with fresh weights of seed 0; under `torch.device("meta")` the structure alone."""
        return build_real(lambda: PatchEncoderModel(self))


class PatchEncoderModel(nn.Module):
    """A built `PatchEncoder`. Its output is the logits of the classes."""

    def __init__(self, config: PatchEncoder):
        super().__init__()
        self.config = config
        self.embed = linear(config.channels * config.patch**2, config.width, role="input")
        self.blocks = nn.ModuleList(_Residual(config) for _ in range(config.depth))
        self.norm = LayerNorm(affine="weight").build(config.width)  # of a token: over the map, its mean would be void
        self.classes = linear(config.width, config.classes, role="output")

    def features(self, state: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:
        """One vector a patch, in raster order, behind the last norm."""
        grid = self.config.grid
        h = self.embed(grid.patchify(state))
        maps = h.transpose(1, 2).unflatten(2, grid.axes)
        for block in self.blocks:
            maps = block(maps)
        return self.norm(maps.flatten(2).transpose(1, 2))

    def summary(self, state: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """One vector for the whole: the mean of the patches' features, scaled to a mean square of 1."""
        return functional.rms_norm(self.features(state).mean(1), (self.config.width,), eps=1e-6)

    def forward(self, x_t: Float[Tensor, "b c h w"], t: Any = None, cond: Any = None) -> Output:
        """Logits (b, k) of the mean feature. It reads neither a time nor a condition."""
        return Output(self.classes(self.features(x_t).mean(1)))


class _Residual(nn.Module):
    def __init__(self, config: PatchEncoder):
        super().__init__()
        self.norms = nn.ModuleList(config.norm.build(config.width) for _ in range(2))
        self.convs = nn.ModuleList(conv(config.width, config.width, 3) for _ in range(2))

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        h = x
        for norm, layer in zip(self.norms, self.convs, strict=True):
            h = layer(functional.silu(norm(h)))
        return x + h

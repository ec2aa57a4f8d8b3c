"""What tokens are aligned with: features of the clean data, one vector a token, from a frozen network.

`Encoder` is a network trained in an experiment of its own, which the experiment names under `needs`. `Dinov2` is the
published choice of REPA (sihyun-yu/REPA train.py, read for facts): patch tokens behind the last norm, of images
normalised by ImageNet's statistics and then resized (bicubic, not anti-aliased). Positions are resampled by transformers,
not by timm as there.
Shapes: b batch, c channels, n tokens, z features of a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check, unknown
from frisket.core.registry import register
from frisket.evaluation.features.base import as_rgb
from frisket.evaluation.features.dinov2 import MEAN, PAPER, STD
from frisket.evaluation.features.dinov2 import Dinov2 as Dinov2Features
from frisket.models.count import macs_of_size
from frisket.sampling.pipeline import Pipeline

DINOV2 = {"small": (12, 384), "base": (12, 768), "large": (24, 1024), "giant": (40, 1536)}  # depth, width


@runtime_checkable
class Target(Protocol):
    """A registered value ("target/..."). Where its module also has `whole(x) -> (b, n + 1, z)`, the last token of which is
    one for the whole item, a model whose state has a vector beside the grid is aligned with all of them."""

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline]) -> nn.Module:
        """A frozen module from data (b, ...), as the set gives them, to features (b, n, z)."""
        ...

    def macs(self, experiment: Any) -> int:
        """Multiply-accumulates for one item of an experiment's data."""
        ...

    def width_in(self, experiment: Any) -> int:
        """z, in an experiment."""
        ...


@register("target/encoder")
@dataclass(frozen=True, kw_only=True)
class Encoder:
    """The token features of a needed pipeline's model. need: its name among the experiment's `needs`."""

    need: str = "encoder"

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline]) -> nn.Module:
        """Raises `FrisketError` without such a pipeline, and if its model gives no features or reads other data."""
        if self.need not in needs:
            raise unknown("needed pipeline", self.need, needs)
        held = needs[self.need]
        if not hasattr(held.model, "features"):
            raise FrisketError(f"{type(held.model).__name__} gives no features of tokens, so it is no encoder")
        check(held.info.shape == pipeline.info.shape, "the encoder's data", held.info.shape, f"{pipeline.info.shape}")
        return _Encoder(held)

    def macs(self, experiment: Any) -> int:
        phase = self._phase(experiment)
        return macs_of_size(phase.model, phase.codec.build().spec(phase.data.open("train").info).shape)

    def width_in(self, experiment: Any) -> int:
        return self._phase(experiment).model.width

    def _phase(self, experiment: Any) -> Any:
        if self.need not in experiment.needs:
            raise unknown("needed experiment", self.need, experiment.needs)
        return experiment.needs[self.need].fit()


@register("target/dinov2", cite=PAPER)
@dataclass(frozen=True, kw_only=True)
class Dinov2:
    """model: a local folder or a Hugging Face id. size: side of the square that images are resized to, a multiple of the
    patch, 14; 224 gives 16 x 16 tokens."""

    model: str = "facebook/dinov2-base"
    size: int = 224

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline]) -> nn.Module:
        """Raises `MissingExtra` without transformers, `FrisketError` when the weights are neither local nor reachable:
        nothing stands in for them."""
        return _Dinov2(Dinov2Features(model=self.model, size=self.size).load(), self.size)

    def macs(self, experiment: Any) -> int:
        """Of the published sizes, by the end of the model's name."""
        depth, width = self._size()
        n = (self.size // 14) ** 2 + 1
        return depth * (12 * n * width**2 + 2 * n**2 * width)

    def width_in(self, experiment: Any) -> int:
        return self._size()[1]

    def _size(self) -> tuple[int, int]:
        name = self.model.rstrip("/").split("-")[-1]
        if name not in DINOV2:
            raise unknown("size of DINOv2, by its name's end", name, DINOV2)
        return DINOV2[name]


class _Encoder(nn.Module):
    def __init__(self, held: Pipeline):
        super().__init__()
        self.model, self.coder = held.model, held.coder

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b n z"]:
        return self.model.features(self.coder.encode(x))  # type: ignore[operator]

    def whole(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b m z"]:
        """The tokens, and behind them their mean: a cosine does not see its length."""
        tokens = self(x)
        return torch.cat([tokens, tokens.mean(1, keepdim=True)], 1)


class _Dinov2(nn.Module):
    def __init__(self, model: nn.Module, size: int):
        super().__init__()
        self.model, self.size = model, size

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n z"]:
        return self.whole(x)[:, :-1]

    def whole(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m z"]:
        """The patches' tokens, and behind them the class token."""
        mean, std = x.new_tensor(MEAN).view(1, 3, 1, 1), x.new_tensor(STD).view(1, 3, 1, 1)
        x = nn.functional.interpolate((as_rgb(x) - mean) / std, (self.size, self.size), mode="bicubic")
        return self.model(pixel_values=x).last_hidden_state.roll(-1, 1)

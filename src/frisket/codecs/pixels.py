"""Images and series as they are, shifted and scaled by per-channel statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.codecs.base import Spec
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream


@register("codec/pixels")
@dataclass(frozen=True, kw_only=True)
class Pixels:
    """state = (x - mean) / std. mean, std: one number or one per channel; the default maps [0, 1] to [-1, 1].

    fitted: replace mean and std by the training set's own when `fit` is called. clamp: decode into [0, 1].
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    fitted: bool = False
    clamp: bool = True

    def __post_init__(self):
        check(all(s > 0 for s in self.std), "codec.std", self.std, "positive")

    def fit(self, source: Source | Stream) -> Pixels:
        """Statistics of up to 4,096 items when `fitted`, else unchanged."""
        if not self.fitted:
            return self
        size = source.info.size or 4096
        x = source.batch(torch.arange(min(size, 4096)))["x"] if hasattr(source, "batch") else source.read(1024)["x"]  # type: ignore[union-attr]
        dims = [d for d in range(x.ndim) if d != 1]
        return replace(self, mean=tuple(x.mean(dims).tolist()), std=tuple(x.std(dims).clamp(min=1e-6).tolist()))

    def build(self) -> Pixels:
        return self

    def encode(self, x: Float[Tensor, "b c *grid"], draw: Tensor | None = None) -> Float[Tensor, "b c *grid"]:
        return (x - self._wide(self.mean, x)) / self._wide(self.std, x)

    def decode(self, state: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b c *grid"]:
        x = state * self._wide(self.std, state) + self._wide(self.mean, state)
        return x.clamp(0, 1) if self.clamp else x

    def spec(self, info: Info) -> Spec:
        return Spec(kind="continuous", shape=info.shape)

    @staticmethod
    def _wide(values: tuple[float, ...], x: Tensor) -> Tensor:
        return x.new_tensor(values).view(1, -1, *[1] * (x.ndim - 2))

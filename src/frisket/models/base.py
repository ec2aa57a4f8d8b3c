"""What the `models` room promises of a backbone.

A backbone is built from a registered config ("backbone/...") and called with the network's own time
(`process.model_time(t)`): `model(x_t, t, Condition.of(label=y)).pred`.
Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.condition import Condition, Output

Keep = Mapping[str, Tensor]


@runtime_checkable
class Backbone(Protocol):
    """An nn.Module with sites."""

    config: BackboneConfig

    def __call__(
        self, x_t: Tensor, t: Tensor | None = None, cond: Condition | None = None, keep: Keep | None = None
    ) -> Output:
        """x_t (b, *s); t (b,) or one an element; keep: span -> kept token ids, None = all. Raises on a condition name
        that no embedder reads, and on a missing one."""
        ...

    def sites(self) -> list[str]: ...


@runtime_checkable
class BackboneConfig(Protocol):
    """A registered value. `build()` also works under `torch.device("meta")`, and `init_weights` follows it."""

    def build(self) -> nn.Module:
        """A `Backbone`."""
        ...

    def fit(self, spec: Spec, channels_out: int, classes: Mapping[str, int]) -> BackboneConfig:
        """A copy for another state: its shape and vocabulary, the channels (or logits) a process asks for, and the
        number of classes of each class condition. Raises if the shape does not divide into patches."""
        ...

"""A condition joined to the input, channel by channel: the input layer is widened by columns of zeros.

The usual way to tell a trained network of a map of its own size (arXiv 2112.10752, inpainting). At first the network
gives what it gave; the new columns learn.
Shapes: d width, f features of a patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.doors import Doors
from frisket.models.init import build_real, linear
from frisket.models.layers.embedders import Image


@register("edit/channels")
@dataclass(frozen=True, kw_only=True)
class JoinChannels:
    """The condition `name`, of the data's own kind and size, behind the state's channels. channels: of its state."""

    name: str = "reference"
    channels: int = 3

    def __post_init__(self):
        check(self.name.isidentifier(), "edit.name", self.name, "an identifier")
        check(self.channels >= 1, "edit.channels", self.channels, "1 or more")

    def build(self, model: nn.Module) -> None:
        """Raises `FrisketError` on a model without doors or without a linear input layer."""
        doors, old = getattr(model, "doors", None), getattr(getattr(model, "input", None), "linear", None)
        if not isinstance(doors, Doors) or not isinstance(old, nn.Linear):
            raise FrisketError(f"{type(model).__name__} has no doors or no linear input layer to widen")
        places = 1
        for p in model.config.input.grid.patch:  # type: ignore[union-attr]
            places *= p
        fan_in, device = old.in_features + self.channels * places, old.weight.device
        wide = build_real(lambda: linear(fan_in, old.out_features, role="input"), "input.linear.", device)
        if not old.weight.is_meta:
            with torch.no_grad():
                wide.weight.zero_()
                wide.weight[:, : old.in_features] = old.weight
                wide.bias.copy_(old.bias)
        model.input.linear = wide  # type: ignore[union-attr,assignment]
        image = build_real(lambda: Image(channels=self.channels).build(0), f"doors.embedders.{self.name}.", device)
        doors.add(self.name, "channels", image, optional=False)

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The old weights; the widened layer has its own already (the old columns, then zeros)."""
        return {n: v for n, v in weights.items() if n != "input.linear.weight"}

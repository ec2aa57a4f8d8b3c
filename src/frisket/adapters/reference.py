"""References as tokens: an image that the model reads in its own attention, behind the tokens of its state.

Source: the in-context layout of arXiv 2501.03630 (MC-VTON): a reference goes through the same codec, the same patch
embedder and the same blocks as the state, only state tokens are read out. Chosen here, where the paper says nothing: its
tokens are modulated at the time of clean data; one that is aligned with the state has the state's places, one that is
not stands beside it, its places moved by `offset` times the grid.
Shapes: b batch, n tokens of the reference, d width; `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Shaped
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.doors import Doors
from frisket.models.masks.base import All, AttentionMask, Both
from frisket.models.masks.isolated import Isolated
from frisket.models.tokens import Tags, Tokens

CITE = "Luan, Li, Zhao, Xing. MC-VTON: Minimal Control Virtual Try-On Diffusion Transformer. 2025. arXiv:2501.03630"


@register("edit/reference", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Reference:
    """The condition `name`, of the data's own kind and size, as tokens. offset: how far its places are moved along each
    axis, in grids (() = not at all). time: the network's own time at which it is modulated; None: the state's.

    A call may leave it out or drop it in some rows: these rows are the model's without it. It has no weights."""

    name: str = "reference"
    offset: tuple[float, ...] = ()
    time: float | None = 0.0

    def __post_init__(self):
        check(self.name.isidentifier(), "edit.name", self.name, "an identifier")

    def build(self, model: nn.Module) -> None:
        """Raises `FrisketError` on a model without doors, one whose input takes further channels, or a taken name."""
        doors = _doors(model)
        check(
            "channels" not in doors.ways.values(), "doors", dict(doors.ways), "none by channels, to share the embedder"
        )
        axes = len(model.config.input.grid.axes)  # type: ignore[union-attr]
        check(len(self.offset) in (0, axes), "edit.offset", self.offset, f"empty or {axes} numbers, one an axis")
        doors.add(self.name, "tokens", SharedEmbedder(model, self.offset), optional=True, time=self.time)

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All weights as they are."""
        return dict(weights)


@register("edit/attention_mask")
@dataclass(frozen=True, kw_only=True)
class RestrictAttention:
    """Every self-attention is restricted by a further mask. The default keeps references apart from the state and each
    other: they are read and do not read, so their keys and values are the same at every step."""

    mask: AttentionMask = Isolated()

    def build(self, model: nn.Module) -> None:
        """Raises `FrisketError` if the model has no self-attention that takes a mask."""
        found = [m for m in model.modules() if hasattr(m, "qkv") and hasattr(getattr(m, "inner", None), "mask")]
        if not found:
            raise FrisketError(f"{type(model).__name__} has no self-attention that takes a mask")
        for mixer in found:
            held = mixer.inner.mask  # type: ignore[union-attr]
            mixer.inner.mask = self.mask if isinstance(held, All) else Both(left=self.mask, right=held)  # type: ignore[union-attr,assignment,arg-type]

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All weights as they are."""
        return dict(weights)


class SharedEmbedder(nn.Module):
    """Embeds a reference with the input layer and the positions of the model that it belongs to."""

    def __init__(self, model: nn.Module, offset: tuple[float, ...]):
        super().__init__()
        self.host: tuple[Any] = (model,)  # in a tuple, so that it is no submodule
        self.offset = offset

    def forward(self, value: Shaped[Tensor, "b *s"], drop: Bool[Tensor, "b"] | None) -> Tokens:
        """The reference's tokens; dropped rows have none that is valid."""
        (model,) = self.host
        grid = model.config.input.grid_of(value)
        coords, moved = grid.coords(value.device), any(self.offset)
        if moved:
            coords = coords + coords.new_tensor(self.offset) * coords.new_tensor(grid.axes)
        tags = Tags(n=grid.tokens, coords=coords, extent=None if moved else grid.axes)
        h = model.positions(model.input(value, grid), tags)
        if drop is None:
            return Tokens(h, tags)
        return Tokens(h, tags.change(valid=~drop[:, None].expand(-1, grid.tokens)))


def _doors(model: nn.Module) -> Doors:
    doors = getattr(model, "doors", None)
    shares = isinstance(doors, Doors) and all(hasattr(model, name) for name in ("input", "positions"))
    if not shares or not isinstance(doors, Doors):
        raise FrisketError(f"{type(model).__name__} has no doors, input and positions that a reference could share")
    return doors


def streams(model: nn.Module) -> dict[str, int]:
    """Condition -> the stream number of its tokens, for masks over streams."""
    return {name: i + 1 for i, name in enumerate(_doors(model).ways)}


__all__ = ["Reference", "RestrictAttention", "SharedEmbedder", "streams"]

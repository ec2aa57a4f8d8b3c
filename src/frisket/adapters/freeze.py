"""Which weights learn from here on. A trainer leaves alone whatever does not ask for a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register


@register("edit/freeze")
@dataclass(frozen=True, kw_only=True)
class Freeze:
    """learns: patterns over parameter names ("*.lora.default.*", "*.bias"); all other parameters are frozen. The last
    such edit of a model holds; ("*",) frees everything but tables."""

    learns: tuple[str, ...] = ("*.lora.*",)

    def __post_init__(self):
        check(bool(self.learns), "edit.learns", self.learns, "one pattern or more")

    def build(self, model: nn.Module) -> None:
        """Raises `FrisketError` if no parameter matches."""
        chosen = [n for n, _ in model.named_parameters() if any(fnmatchcase(n, p) for p in self.learns)]
        if not chosen:
            raise FrisketError(f"no parameter matches edit.learns = {self.learns}")
        tables = _tables(model)
        for name, value in model.named_parameters():
            value.requires_grad_(name in chosen and id(value) not in tables)

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All weights as they are."""
        return dict(weights)


def _tables(model: nn.Module) -> set[int]:
    """Parameters that a formula fills and nothing trains."""
    return {
        id(module._parameters[name])
        for module in model.modules()
        for name, said in getattr(module, "marks", {}).items()
        if said.role == "table" and name in module._parameters
    }

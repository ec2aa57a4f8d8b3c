"""Edits change a model and are saved with it: a model on disk is its base config plus its edits plus its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Edit(Protocol):
    """A frozen registered value that changes a model's structure."""

    def build(self, model: nn.Module) -> None:
        """Change the structure in place; must work on the meta device."""
        ...

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The old weights under their new names and shapes. What is missing keeps the model's fresh values."""
        ...


def apply_edits(model: M, edits: Sequence[Edit]) -> M:
    """Apply `edits` in order to a model with weights, in place, and record them in `model.edits`."""
    for edit in edits:
        old = {name: value.detach().clone() for name, value in model.state_dict().items()}
        edit.build(model)
        _, unexpected = model.load_state_dict(edit.carry(old), strict=False)
        if unexpected:
            raise RuntimeError(f"{edit} carried weights that the edited model does not have: {unexpected}")
        model.edits = (*getattr(model, "edits", ()), edit)  # type: ignore[assignment]
    return model


def build_edited(config, edits: Sequence[Edit] = ()) -> nn.Module:
    """The structure of `config` with `edits` applied, ready for saved weights (also under `torch.device("meta")`)."""
    model = config.build()
    for edit in edits:
        edit.build(model)
        model.edits = (*getattr(model, "edits", ()), edit)
    return model

"""What goes into a model beside the state, and what comes out: `Condition` and `Output`.

Conditions are raw and named (class ids, text ids, a control map); the model owns the embedders and the nulls.
Shapes: b rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from frisket.core.errors import check, unknown
from frisket.core.state import State


@dataclass(frozen=True)
class Condition:
    """Named raw values, each with the batch first, and per name which rows have it dropped (replaced by its null).

    negative: what stands in for a name wherever it is left out (a negative prompt), in place of the model's null."""

    values: Mapping[str, Tensor] = field(default_factory=dict)
    drop: Mapping[str, Bool[Tensor, "b"]] = field(default_factory=dict)
    negative: Condition | None = None

    @classmethod
    def of(cls, **values: Tensor) -> Condition:
        """The short form: `Condition.of(label=y)`."""
        return cls(values)

    def without(self, *names: str, where: Bool[Tensor, "b"] | None = None) -> Condition:
        """A copy with `names` dropped (all names if none is given), in every row or only `where` True; a name with a
        negative value takes that instead.

        Raises `FrisketError` on a name that this condition does not hold.
        """
        values, drop = dict(self.values), dict(self.drop)
        for name in names or tuple(self.values):
            if name not in self.values:
                raise unknown("condition", name, self.values)
            rows = torch.ones(len(self), dtype=torch.bool, device=self.values[name].device) if where is None else where
            if self.negative is not None and name in self.negative.values:
                other = self.negative.values[name]
                values[name] = other.where(rows.view(-1, *[1] * (other.ndim - 1)), values[name])
                drop[name] = self.negative.dropped(name).where(rows, self.dropped(name))
            else:
                drop[name] = rows | drop[name] if name in drop else rows
        return replace(self, values=values, drop=drop)

    def rows(self, where: Tensor | slice) -> Condition:
        """Some of the rows, by index, boolean tensor or slice."""
        values, drop = {k: v[where] for k, v in self.values.items()}, {k: v[where] for k, v in self.drop.items()}
        return Condition(values, drop, None if self.negative is None else self.negative.rows(where))

    def to(self, *args, **kwargs) -> Condition:
        """Move every tensor; floating values follow a dtype, ids and drops do not."""
        move = {k: v.to(*args, **kwargs) if v.is_floating_point() else _moved(v, args, kwargs)
                for k, v in self.values.items()}  # fmt: skip
        drop = {k: _moved(v, args, kwargs) for k, v in self.drop.items()}
        return Condition(move, drop, None if self.negative is None else self.negative.to(*args, **kwargs))

    @staticmethod
    def cat(parts: list[Condition]) -> Condition:
        """Stack the rows of several conditions; their negatives, which are not what a model is given, are left out.
        Raises `FrisketError` unless all hold the same names."""
        first = parts[0]
        for part in parts[1:]:
            check(set(part.values) == set(first.values), "condition", sorted(part.values), f"of {sorted(first.values)}")
        values = {k: torch.cat([p.values[k] for p in parts]) for k in first.values}
        dropped = {k for p in parts for k in p.drop}
        drop = {k: torch.cat([p.dropped(k) for p in parts]) for k in dropped}
        return Condition(values, drop)

    def dropped(self, name: str) -> Bool[Tensor, "b"]:
        """Which rows have `name` dropped."""
        if name in self.drop:
            return self.drop[name]
        return torch.zeros(len(self), dtype=torch.bool, device=self.values[name].device)

    def __len__(self) -> int:
        return next((len(v) for v in self.values.values()), 0)


def _moved(value: Tensor, args: tuple, kwargs: dict) -> Tensor:
    moved = value.to(*args, **kwargs)
    return moved.to(value.dtype)


@dataclass
class Output:
    """What a backbone returns: the prediction in the process's own terms, further predictions, and loss terms of the
    model's own (an expert router's balance, for example; scalars, already weighted). pred is a dict where the state is."""

    pred: State
    aux: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)

"""Conditions as a user writes them (a class number or name, a text, a list, a tensor, None) to a `Condition` with n
rows.

Shapes: n samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from frisket.codecs.readers import BuiltReader
from frisket.core.condition import Condition
from frisket.core.errors import FrisketError, check, unknown
from frisket.data.base import Info


def class_counts(model: Any, info: Info) -> dict[str, int]:
    """How many classes each class condition has: from the embedders of the model's doors, and the labels of the set
    (unless the model has doors and none of them reads labels)."""
    doors = getattr(getattr(model, "config", None), "doors", ())
    reads = not doors or any(door.name == "label" for door in doors)
    counts = {"label": len(info.classes)} if info.classes and reads else {}
    for door in doors:
        classes = getattr(door.embedder, "classes", 0)
        if classes:
            counts[door.name] = classes
    return counts


def read_conditions(
    values: Mapping[str, Any], n: int, counts: Mapping[str, int], info: Info, device: torch.device,
    readers: Mapping[str, BuiltReader] | None = None,
) -> Condition | None:  # fmt: skip
    """A number, class name or text stands for all n samples; a list or tensor gives one a sample; None is the model's
    null. A name with a reader goes through it: there any of a list may be None.

    Raises `FrisketError` on another number of rows, a class that does not exist, and what is no number.
    """
    read: dict[str, Tensor] = {}
    drop: dict[str, Tensor] = {}
    for name, value in values.items():
        reader = (readers or {}).get(name)
        if reader is None:
            rows, nothing = _rows(name, 0 if value is None else value, n, info), [value is None] * n
        else:
            rows, nothing = reader.of_value(name, value, n)
        if name in counts:
            _check_classes(name, rows, counts[name])
        read[name] = rows.to(device)
        if any(nothing):
            drop[name] = torch.tensor(nothing, device=device)
    return Condition(read, drop) if read else None


def _rows(name: str, value: Any, n: int, info: Info) -> Tensor:
    if isinstance(value, str) or (isinstance(value, Sequence) and value and all(isinstance(v, str) for v in value)):
        value = _numbers(name, value, info)
    if isinstance(value, (int, float)):
        return torch.full((n,), value, dtype=torch.int64 if isinstance(value, int) else torch.float32)
    try:
        rows = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        kind = type(value).__name__
        raise FrisketError(f"{name} = {kind} is not accepted; give a number, a list, a tensor or None") from None
    rows = rows.expand(n) if rows.ndim == 0 else rows
    check(len(rows) == n, f"rows of {name}", len(rows), f"{n}, one a sample")
    return rows


def _numbers(name: str, value: str | Sequence[str], info: Info) -> int | list[int]:
    """Class names to numbers."""
    if not info.classes or name != "label":
        raise FrisketError(f"{name} = {value!r} is text, but this model was trained on no named classes for it")
    if not isinstance(value, str):
        return [_numbers(name, v, info) for v in value]  # type: ignore[misc]
    if value not in info.classes:
        raise unknown("class", value, info.classes)
    return info.classes.index(value)


def _check_classes(name: str, rows: Tensor, count: int) -> None:
    check(not rows.is_floating_point(), f"{name}.dtype", rows.dtype, "an integer: a class number")
    wrong = rows[(rows < 0) | (rows >= count)]
    if len(wrong):
        raise FrisketError(f"{name} = {int(wrong[0])} is not accepted; it must be between 0 and {count - 1}")

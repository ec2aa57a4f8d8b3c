"""Conditions that are data themselves (a reference image): the codec that makes states encodes them, then the model
embeds them as it does its state.

Shapes: b rows, `*s` the state's shape.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from frisket.codecs.base import Codec
from frisket.core.condition import Condition


def encoded(cond: Condition | None, model: Any, codec: Codec) -> Condition | None:
    """The condition with the values of the model's encoded doors as states. An optional one that is dropped in every
    row is left out: the model is then called as if it had no such door."""
    doors = getattr(model, "doors", None)
    names = getattr(doors, "encoded", set())
    if cond is None or not names & set(cond.values):
        return cond
    absent = {n for n in doors.optional & set(cond.drop) if bool(cond.drop[n].all())}  # type: ignore[union-attr]
    values = {n: v for n, v in cond.values.items() if n not in absent}
    with torch.no_grad():
        values |= {n: codec.encode(values[n]) for n in names & set(values)}
    return replace(cond, values=values, drop={n: v for n, v in cond.drop.items() if n not in absent})

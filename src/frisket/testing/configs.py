"""Configs: frozen values that go to JSON and back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from frisket.core.config import digest, flatten, from_config, override, to_config
from frisket.core.errors import FrisketError
from frisket.core.registry import lookup
from frisket.testing.claims import claim, name_of


def check_config(part: Any) -> None:
    """A registered part is a frozen keyword-only dataclass, found by its name, equal after a round trip through JSON,
    with a digest that follows its values, and every leaf can be overridden with the value it holds."""
    claim(dataclasses.is_dataclass(part), part, "is not a dataclass")
    claim(type(part).__dataclass_params__.frozen, part, "is not frozen; use @dataclass(frozen=True, kw_only=True)")
    fields = [f for f in dataclasses.fields(part) if f.init]
    claim(all(f.kw_only for f in fields), part, "has positional fields; use @dataclass(frozen=True, kw_only=True)")
    claim("part_name" in type(part).__dict__, part, 'is not registered; put @register("slot/name") above it')
    claim(lookup(name_of(part)) is type(part), part, "is not what its own name looks up")
    data = json.loads(json.dumps(to_config(part)))
    again: Any = None
    try:
        again = from_config(data)
    except FrisketError as error:
        claim(False, part, f"does not come back from its config: {error}")
    claim(again == part, part, f"comes back from its config as another value: {again!r}")
    claim(digest(again) == digest(part), part, "has another digest after a round trip")
    for name, value in flatten(part).items():
        if name in getattr(part, "dials", ()) or isinstance(value, str):
            continue  # a string may name a part, which then stands with its defaults
        claim(override(part, name, value) == part, part, f"changes when {name} is overridden with its own value")

"""Configs are values: frozen keyword-only dataclasses that go to JSON and back, and are overridden by dotted names.

`to_config(part)` gives plain data, `from_config(data)` rebuilds it from registered names only (no code from a file is
ever run), `override(part, "process.path", "flow")` returns a changed copy, `digest(part)` identifies it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, TypeVar, get_args, get_type_hints

from frisket.core.errors import FrisketError, unknown
from frisket.core.registry import lookup, names

T = TypeVar("T")
SCALARS = (bool, int, float, str, type(None))


def to_config(value: Any) -> Any:
    """Plain JSON data of a part: `{"part": name, field: ...}`; tuples become lists. Raises on what JSON cannot hold."""
    if isinstance(value, SCALARS):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = getattr(value, "part_name", None)
        if name is None:
            raise TypeError(f"{type(value).__qualname__} is not registered, so it cannot be saved")
        return {
            "part": name,
            **{f.name: to_config(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init},
        }
    if isinstance(value, (tuple, list)):
        return [to_config(v) for v in value]
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {k: to_config(v) for k, v in value.items()}
    raise TypeError(f"a config cannot hold {type(value).__qualname__}: {value!r}")


def from_config(data: Any) -> Any:
    """Rebuild what `to_config` gave. Lists become tuples. Raises `FrisketError` on unknown parts or fields."""
    if isinstance(data, list):
        return tuple(from_config(v) for v in data)
    if not isinstance(data, dict):
        return data
    if "part" not in data:
        return {k: from_config(v) for k, v in data.items()}
    cls = lookup(data["part"])
    accepted = [f.name for f in dataclasses.fields(cls) if f.init]
    for key in data:
        if key != "part" and key not in accepted:
            raise unknown(f"field of {data['part']}", key, accepted)
    return cls(**{k: from_config(v) for k, v in data.items() if k != "part"})


def digest(value: Any, length: int = 12) -> str:
    """Hexadecimal SHA-256 prefix of the config of `value`: equal configs, equal digests."""
    text = json.dumps(to_config(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of every leaf that `override` accepts; a part's own name stands at its dotted name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out = {prefix: getattr(value, "part_name", None)} if prefix else {}
        for f in dataclasses.fields(value):
            if f.init:
                out |= flatten(getattr(value, f.name), f"{prefix}.{f.name}" if prefix else f.name)
        for name in getattr(value, "dials", ()):
            out[f"{prefix}.{name}" if prefix else name] = getattr(value, name)
        return out
    if isinstance(value, tuple) and value and all(dataclasses.is_dataclass(v) for v in value):
        out = {}
        for i, v in enumerate(value):
            out |= flatten(v, f"{prefix}.{i}")
        return out
    return {prefix: value}


def override(value: T, name: str, new: Any) -> T:
    """A copy of `value` with the leaf at dotted `name` set to `new`.

    `new` may be a string from the command line: it is read as the type that the field holds. A string given for a slot
    that holds a part names another part of that slot ("flow" for "path/flow"), built with its defaults. A class may
    list `dials`: derived sizes (such as a backbone's depth) that `with_<dial>(n)` sets.
    Raises `FrisketError` on an unknown name or a value of the wrong type.
    """
    return _override(value, name.split("."), new, name)


def _override(value: Any, path: list[str], new: Any, full: str) -> Any:
    head, rest = path[0], path[1:]
    if isinstance(value, tuple):
        if not head.isdigit() or int(head) >= len(value):
            raise unknown(f"index in {full}", head, [str(i) for i in range(len(value))])
        i = int(head)
        item = _override(value[i], rest, new, full) if rest else _read(new, value[i], None, full)
        return (*value[:i], item, *value[i + 1 :])
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise FrisketError(f"{full}: {type(value).__name__} has no field {head!r}")
    fields = [f.name for f in dataclasses.fields(value) if f.init]
    dials = list(getattr(value, "dials", ()))
    if head in dials and not rest:
        return getattr(value, f"with_{head}")(_read(new, getattr(value, head), None, full))
    if head not in fields:
        raise unknown(f"option --{full}: field", head, fields + dials)
    held = getattr(value, head)
    item = _override(held, rest, new, full) if rest else _read(new, held, get_type_hints(type(value)).get(head), full)
    return dataclasses.replace(value, **{head: item})  # type: ignore[type-var]


def _read(new: Any, held: Any, hint: Any, full: str) -> Any:
    """`new` as the kind of value that `held` (or the annotation `hint`) is."""
    if not isinstance(new, str):
        return new
    if hasattr(held, "part_name") or _is_part_slot(hint):
        slot = held.part_name.split("/")[0] if hasattr(held, "part_name") else full.split(".")[-1]
        if new in ("none", "None") and type(None) in get_args(hint):
            return None
        chosen = new if "/" in new else f"{slot}/{new}"
        if chosen not in names(slot):
            raise unknown(f"option --{full}: part", new, [n.split("/", 1)[1] for n in names(slot)])
        return lookup(chosen)()
    kinds = {type(held)} | {k for k in (get_args(hint) or (hint,)) if isinstance(k, type)}
    if new in ("none", "None") and type(None) in kinds:
        return None
    if bool in kinds and new.lower() in ("true", "false"):
        return new.lower() == "true"
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(new)
            except ValueError:
                continue
    if str in kinds:
        return new
    if tuple in kinds or isinstance(held, tuple):
        return from_config(json.loads(new if new.startswith("[") else f"[{new}]"))
    raise FrisketError(f"--{full} = {new!r} is not accepted; it holds {held!r}")


def _is_part_slot(hint: Any) -> bool:
    return any(getattr(k, "_is_protocol", False) for k in (get_args(hint) or (hint,)))

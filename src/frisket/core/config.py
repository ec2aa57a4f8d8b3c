"""Configs are values: frozen keyword-only dataclasses that go to JSON and back, and are overridden by dotted names.

`to_config(part)` gives plain data, `from_config(data)` rebuilds it from registered names only (no code from a file is
ever run), `override(part, "process.path", "flow")` returns a changed copy, `digest(part)` identifies it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
from inspect import isabstract
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from frisket.core.errors import FrisketError, check, unknown
from frisket.core.kinds import check_kind, hints_of
from frisket.core.registry import lookup, names

T = TypeVar("T")
SCALARS = (bool, int, float, str, type(None))
DEEPEST = 64
_UNREAD = object()


def to_config(value: Any) -> Any:
    """Plain JSON data of a part: `{"part": name, field: ...}`; tuples become lists. Raises on what JSON cannot hold."""
    if isinstance(value, SCALARS):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = type(value).__dict__.get("part_name")  # its own: an unregistered subclass is not its parent
        if name is None:
            raise TypeError(f"{type(value).__qualname__} is not registered, so it cannot be saved")
        return {
            "part": name,
            **{f.name: to_config(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init},
        }
    if isinstance(value, (tuple, list)):
        return [to_config(v) for v in value]
    if isinstance(value, dict) and all(isinstance(k, str) and k != "part" for k in value):
        return {k: to_config(v) for k, v in value.items()}
    raise TypeError(f"a config cannot hold {type(value).__qualname__}: {value!r}")


def from_config(data: Any, kind: Any = Any, name: str = "config") -> Any:
    """Rebuild what `to_config` gave. Lists become tuples. kind: the annotation that the whole, called `name`, must fit.

    Raises `FrisketError` on unknown parts or fields, on values of another kind than their field's annotation, and on
    nesting deeper than any config has.
    """
    value = _rebuilt(data, DEEPEST)
    check_kind(value, kind, name)
    return value


def _rebuilt(data: Any, depth: int) -> Any:
    if depth == 0:
        raise FrisketError(f"a config nested deeper than {DEEPEST} is not accepted")
    if isinstance(data, list):
        return tuple(_rebuilt(v, depth - 1) for v in data)
    if not isinstance(data, dict):
        return data
    if "part" not in data:
        return {k: _rebuilt(v, depth - 1) for k, v in data.items()}
    check(isinstance(data["part"], str), "part", data["part"], "the registered name of a part")
    cls = lookup(data["part"])
    accepted = [f.name for f in dataclasses.fields(cls) if f.init]
    for key in data:
        if key != "part" and key not in accepted:
            raise unknown(f"field of {data['part']}", key, accepted)
    values = {k: _rebuilt(v, depth - 1) for k, v in data.items() if k != "part"}
    hints = hints_of(cls)
    for key, value in values.items():
        check_kind(value, hints.get(key, Any), f"{data['part']}.{key}")
    return _made(cls, values)


def _made(cls: type, values: dict[str, Any]) -> Any:
    missing = [f.name for f in dataclasses.fields(cls) if f.init and f.name not in values and _required(f)]
    if missing:
        raise FrisketError(f"{getattr(cls, 'part_name', cls.__name__)} needs a value for {', '.join(missing)}")
    return cls(**values)


def _required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


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
        if new in ("none", "None") and type(None) in _options(hint):
            return None
        chosen = new if "/" in new else f"{slot}/{new}"
        if chosen not in names(slot):
            raise unknown(f"option --{full}: part", new, [n.split("/", 1)[1] for n in names(slot)])
        return _made(lookup(chosen), {})
    choices = [c for k in _options(hint) if get_origin(k) is Literal for c in get_args(k)]
    plain = {get_origin(k) or k for k in _options(hint) if get_origin(k) is not Literal}
    value = _scalar(new, {type(held), *plain, *map(type, choices)})
    if value is _UNREAD and (tuple in plain or isinstance(held, tuple)):
        value = _listed(new, full)
    if value is _UNREAD:
        raise FrisketError(f"--{full} = {new!r} is not accepted; it holds {held!r}")
    if type(value) in map(type, choices) and type(value) not in plain and value not in choices:
        raise unknown(f"value of --{full}", new, map(str, choices))
    return value


def _scalar(new: str, kinds: set) -> Any:
    """`new` as the narrowest of `kinds` that it reads as, else `_UNREAD`."""
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
    return new if str in kinds else _UNREAD


def _listed(new: str, full: str) -> tuple:
    try:
        return from_config(json.loads(new if new.startswith("[") else f"[{new}]"))
    except json.JSONDecodeError:
        raise FrisketError(f"--{full} = {new!r} is not accepted; it must be a list such as 1,2 or [1, 2]") from None


def _options(hint: Any) -> tuple:
    """The alternatives of an annotation: those of a union, else itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_part_slot(hint: Any) -> bool:
    return any(getattr(k, "_is_protocol", False) or isabstract(k) for k in _options(hint))

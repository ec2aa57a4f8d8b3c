"""Whether a value read from a file is what an annotation says, before anything is built from it.

Understood: numbers, strings, None, `Any`, unions, `Literal`, tuples and sequences, dicts, classes, and protocols, whose
members a value must have. A whole number may stand for a float and nothing else for anything else. Annotations of other
kinds accept everything.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints

from frisket.core.errors import FrisketError

PLAIN = (bool, int, str, type(None))


def check_kind(value: Any, kind: Any, name: str) -> None:
    """Raise `FrisketError` naming `name`, the value and what is accepted, unless `value` is of the annotation `kind`."""
    if not fits(value, kind):
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise FrisketError(f"{name} = {shown} is not accepted; it must be {described(kind)}")


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """The annotations of a class, resolved; {} where one names what only a type checker sees."""
    try:
        return get_type_hints(cls)
    except NameError:
        return {}


def fits(value: Any, kind: Any) -> bool:
    """Whether `value` is of the annotation `kind`."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if kind is None or kind in PLAIN:
        return type(value) is (type(None) if kind is None else kind)
    if kind is float:
        return type(value) in (int, float)
    if origin in (Union, types.UnionType):
        return any(fits(value, k) for k in args)
    if origin is Literal:
        return any(value == a and type(value) is type(a) for a in args)
    if origin is tuple or kind is tuple:
        return isinstance(value, tuple) and _items_fit(value, args)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        keys, values = args or (Any, Any)
        return isinstance(value, Mapping) and all(fits(k, keys) and fits(v, values) for k, v in value.items())
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, (tuple, list)) and all(fits(v, k) for v in value for k in args)
    if getattr(kind, "_is_protocol", False):
        return not isinstance(value, (*PLAIN, float, tuple, dict)) and all(hasattr(value, m) for m in members(kind))
    return isinstance(value, kind) if isinstance(kind, type) and origin is None else True


def _items_fit(value: tuple, args: tuple) -> bool:
    if not args:
        return True
    if len(args) == 2 and args[1] is Ellipsis:
        return all(fits(v, args[0]) for v in value)
    return len(value) == len(args) and all(fits(v, k) for v, k in zip(value, args, strict=True))


@cache
def members(protocol: type) -> frozenset[str]:
    """Names that a protocol, with those it extends, asks for."""
    bases = [b for b in protocol.__mro__ if getattr(b, "_is_protocol", False) and b is not Protocol]
    found = {name for b in bases for name in (*vars(b), *vars(b).get("__annotations__", ()))}
    return frozenset(name for name in found if not name.startswith("_"))


def described(kind: Any) -> str:
    """An annotation in words."""
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(described(k) for k in get_args(kind))
    if get_origin(kind) is Literal:
        return " or ".join(repr(a) for a in get_args(kind))
    if kind in (None, type(None)):
        return "null"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    if kind in words:
        return words[kind]
    if get_origin(kind) is tuple:
        inside = get_args(kind)
        if inside[1:] == (Ellipsis,):
            return f"a list, each {described(inside[0])}"
        return f"a list of {len(inside)}: {', '.join(map(described, inside))}"
    if isinstance(kind, type) and get_origin(kind) is None:
        return f"a part that serves as {kind.__name__}"
    return "a JSON object" if isinstance(get_origin(kind), type) else str(kind)

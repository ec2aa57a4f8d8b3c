"""The type checker of the tests: beartype, with protocols left out.

Shapes, kinds of tensors and plain types are checked on every annotated call. Protocols are not: a stand-in of a test
need only have what the test calls.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

CONF = BeartypeConf(is_pep484_tower=True)  # an int may stand where a float is asked for


def checked(fn: Callable) -> Callable:
    """`fn` with its calls checked. jaxtyping hands over functions whose annotations are already resolved."""
    fn.__annotations__ = {name: _plain(hint) for name, hint in fn.__annotations__.items()}
    return beartype(conf=CONF)(fn)


def _plain(hint: Any) -> Any:
    """`hint` with every protocol, and every name that could not be resolved, replaced by Any."""
    if isinstance(hint, str | typing.ForwardRef) or getattr(hint, "_is_protocol", False):
        return Any
    args = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if not args or origin in (typing.Literal, typing.Annotated):
        return hint
    inner = tuple([_plain(a) for a in arg] if isinstance(arg, list) else _plain(arg) for arg in args)
    if inner == args:
        return hint
    if origin in (typing.Union, types.UnionType):
        return typing.Union[inner]  # noqa: UP007
    return Any if getattr(origin, "_is_protocol", False) else _again(hint, origin, inner)


def _again(hint: Any, origin: Any, inner: tuple) -> Any:
    try:
        return origin[inner if len(inner) > 1 else inner[0]]
    except TypeError:  # an alias that cannot be indexed again
        return Any

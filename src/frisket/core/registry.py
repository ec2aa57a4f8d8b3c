"""Names for parts. A part registers as `slot/name`; saved configs hold that name, so a file may move.

Parts are found by importing the rooms (`ROOMS`) once, on the first look-up: importing frisket stays cheap.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TypeVar

from frisket.core.errors import unknown

T = TypeVar("T", bound=type)

ROOMS = (
    "data", "codecs", "processes", "models", "sampling", "caching", "adapters", "compression",
    "tasks", "analysis", "evaluation", "training", "interop", "experiments",
)  # fmt: skip
_parts: dict[str, type] = {}
_loaded: set[str] = set()


def register(name: str, cite: str = "") -> Callable[[T], T]:
    """Class decorator: make a frozen dataclass known as `name` ("slot/idea"). Raises if another class holds it.

    cite: the source of the idea, as "Authors. Title. Year. arXiv:ID"; `frisket cite` prints those of the parts used.
    """

    def add(cls: T) -> T:
        held = _parts.get(name)
        if held is not None and (held.__module__, held.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{name!r} is already registered by {held.__module__}.{held.__qualname__}")
        _parts[name] = cls
        if "part" in getattr(cls, "__dataclass_fields__", {}):
            raise ValueError(f"{name!r} has a field called 'part', which saved configs use for the name itself")
        cls.part_name = name  # type: ignore[attr-defined]
        cls.part_cite = cite  # type: ignore[attr-defined]
        return cls

    return add


def _load_rooms() -> None:
    for room in ROOMS:
        if room in _loaded:
            continue
        _loaded.add(room)  # before its import, which may look names up itself
        try:
            _load(f"frisket.{room}")
        except BaseException:
            _loaded.discard(room)
            raise


def _load(room: str) -> None:
    try:
        package = importlib.import_module(room)
    except ModuleNotFoundError as error:
        if error.name == room:  # a room that this version does not have yet
            return
        raise
    for module in pkgutil.walk_packages(package.__path__, f"{room}."):
        importlib.import_module(module.name)


def lookup(name: str) -> type:
    """The class registered as `name`. Raises `FrisketError` with the nearest name of its slot if there is none."""
    if name not in _parts:
        _load_rooms()
    if name not in _parts:
        raise unknown("part", name, names(name.split("/")[0]) or _parts)
    return _parts[name]


def names(slot: str = "") -> list[str]:
    """All registered names, or those of one `slot` ("path" gives "path/cosine", "path/flow", ...), sorted."""
    _load_rooms()
    return sorted(n for n in _parts if not slot or n.split("/")[0] == slot)

"""Options of a verb: a dataclass read by tyro, plus dotted overrides (`--model.depth 8`) of the experiment it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from frisket.core.config import flatten, override
from frisket.core.errors import FrisketError, unknown

A = TypeVar("A")
E = TypeVar("E")


def parse(args: type[A], argv: list[str], verb: str, about: str, overridable: bool = False) -> tuple[A, dict[str, str]]:
    """The verb's options and, if `overridable`, the unknown `--name value` pairs. Prints help and exits on --help.

    Raises `FrisketError` with the nearest option on an unknown one when nothing may be overridden.
    """
    import tyro

    parsed, rest = tyro.cli(
        args, args=argv, prog=f"frisket {verb}", description=about, return_unknown_args=True,
        config=(tyro.conf.FlagCreatePairsOff,),
    )  # fmt: skip
    pairs = _pairs(rest)
    if pairs and not overridable:
        raise unknown("option", "--" + next(iter(pairs)), ["--" + n for n in option_names(args)])
    return parsed, pairs


def option_names(args: type) -> list[str]:
    return [f.name.replace("_", "-") for f in dataclasses.fields(args)]


def _pairs(rest: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    words = iter(rest)
    for word in words:
        if not word.startswith("--"):
            raise FrisketError(f"unexpected argument {word!r}; options are --name value")
        name, equals, value = word[2:].partition("=")
        if not equals:
            following = next(words, None)
            if following is None:
                raise FrisketError(f"option --{name} needs a value")
            value = following
        pairs[name.replace("-", "_")] = value
    return pairs


def apply(experiment: E, pairs: dict[str, str], options: list[str]) -> E:
    """The experiment with every override applied. An unknown plain name is compared with the verb's options too."""
    for name, value in pairs.items():
        known = flatten(experiment)
        if name not in known and "." not in name:
            raise unknown("option", f"--{name}", [f"--{n}" for n in (*options, *known)])
        experiment = override(experiment, name, value)
    return experiment


def defaults_table(experiment: Any) -> str:
    """All names that can be overridden, with their values: the second half of a verb's help."""
    rows = [(f"--{n}", v) for n, v in flatten(experiment).items()]
    width = max(len(n) for n, _ in rows)
    return "\n".join(f"  {n:<{width}}  {v}" for n, v in rows)


Main = Callable[[list[str]], int]

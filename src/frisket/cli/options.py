"""Options of a verb: a dataclass read by tyro, plus dotted overrides (`--model.depth 8`) of the experiment it runs."""

from __future__ import annotations

import dataclasses
import io
import re
from contextlib import redirect_stderr
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from frisket.core.config import flatten, override
from frisket.core.errors import FrisketError, unknown

A = TypeVar("A")
E = TypeVar("E")
FRAME = re.compile(r"[─-╿]+")  # the lines that tyro draws around what it says


def parse(args: type[A], argv: list[str], verb: str, about: str, overridable: bool = False) -> tuple[A, dict[str, str]]:
    """The verb's options and, if `overridable`, the unknown `--name value` pairs. Prints help and exits on --help.

    Raises `FrisketError` in one line on a value that cannot be read, on what is missing, and, with the nearest option,
    on an unknown one when nothing may be overridden.
    """
    import tyro

    own, pairs = separate(argv, option_names(args))
    _once(args, own)
    if pairs and not overridable:
        raise unknown("option", "--" + next(iter(pairs)).replace("_", "-"), ["--" + n for n in option_names(args)])
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            parsed = tyro.cli(
                args, args=own, prog=f"frisket {verb}", description=about, config=(tyro.conf.FlagCreatePairsOff,)
            )
    except SystemExit as stop:
        if stop.code:
            raise FrisketError(_complaint(said.getvalue())) from None
        raise
    return parsed, pairs


def option_names(args: type) -> list[str]:
    """Every name, without its dashes, that an option of the verb goes by."""
    return [name for names in _names(args).values() for name in names]


def _names(args: type) -> dict[str, list[str]]:
    """The names of each field."""
    hints = get_type_hints(args, include_extras=True)
    names = {}
    for field in dataclasses.fields(args):
        names[field.name] = [field.name.replace("_", "-")]
        for note in getattr(hints[field.name], "__metadata__", ()):
            names[field.name] += [alias.lstrip("-") for alias in getattr(note, "aliases", None) or ()]
    return names


def _once(args: type, own: list[str]) -> None:
    """Of one value the last that is given counts; of a list nobody would expect that."""
    hints = get_type_hints(args)
    given = [word[2:].partition("=")[0].replace("_", "-") for word in own if word.startswith("--")]
    for field, names in _names(args).items():
        lists = any(get_origin(part) in (list, tuple) for part in (hints[field], *get_args(hints[field])))
        if lists and sum(name in names for name in given) > 1:
            raise FrisketError(f"--{names[0]} is given twice; it is accepted once, with all its values behind it")


def separate(argv: list[str], known: list[str]) -> tuple[list[str], dict[str, str]]:
    """What the verb reads itself, and the `--name value` or `--name=value` pairs of any other name."""
    own, pairs, words = [], {}, iter(argv)
    for word in words:
        name, equals, value = word[2:].partition("=")
        if not word.startswith("--") or name.replace("_", "-") in (*known, "help"):
            own.append(word)
            continue
        if not equals:
            value = next(words, "--")
            if value.startswith("--"):
                raise FrisketError(f"option --{name} needs a value")
        pairs[name.replace("-", "_")] = value
    return own, pairs


def _complaint(said: str) -> str:
    """What tyro says is wrong, in one line and without its frame."""
    lines = [" ".join(FRAME.sub(" ", line).split()) for line in said.splitlines()]
    kept = []
    for line in lines[1:]:  # the first is the frame's title
        if line.startswith(("Argument helptext", "For full helptext")):
            break
        kept.append(line)
    return " ".join(line for line in kept if line) or "the options cannot be read; see --help"


def apply(experiment: E, pairs: dict[str, str], options: list[str]) -> E:
    """The experiment with every override applied. An unknown plain name is compared with the verb's options too."""
    for name, value in pairs.items():
        known = flatten(experiment)
        if name not in known and "." not in name:
            raise unknown("option", f"--{name}", [f"--{n}" for n in (*options, *(k for k in known if "." not in k))])
        experiment = override(experiment, name, value)
    return experiment


def defaults_table(experiment: Any) -> str:
    """All names that can be overridden, with their values: the second half of a verb's help."""
    rows = [(f"--{n}", v) for n, v in flatten(experiment).items() if n.split(".")[0] != "study"]
    width = max(len(n) for n, _ in rows)
    return "\n".join(f"  {n:<{width}}  {v}" for n, v in rows)

"""The exception that a user is meant to read: one line with the field, its value and what would be accepted."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FrisketError(ValueError):
    """Bad input. Shown by the command line as one line without a traceback, exit code 2."""


class MissingExtra(FrisketError, ImportError):
    """An optional library is needed; the message names it and the extra that brings it."""

    def __init__(self, library: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs the library {library!r}: pip install 'frisket[{extra}]'")


def unknown(what: str, got: object, accepted: Iterable[str]) -> FrisketError:
    """An error for a wrong name: what it is, what was given, the nearest accepted name, all accepted names."""
    names = sorted(str(a) for a in accepted)
    swapped = [n for n in names if sorted(n) == sorted(str(got))]  # exchanged letters are the commonest slip
    near = swapped or get_close_matches(str(got), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return FrisketError(f"unknown {what} {got!r}{hint} (accepted: {', '.join(names) or 'none'})")


def check(condition: bool, field: str, value: object, accepted: str) -> None:
    """Raise a `FrisketError` naming `field`, `value` and what is `accepted`, unless `condition` holds."""
    if not condition:
        raise FrisketError(f"{field} = {value!r} is not accepted; it must be {accepted}")

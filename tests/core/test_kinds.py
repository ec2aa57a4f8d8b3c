from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import pytest

from frisket.core import FrisketError
from frisket.core.kinds import check_kind, described, fits, hints_of, members
from frisket.core.registry import lookup, names


class Moves(Protocol):
    speed: float

    def move(self) -> None: ...


class Flies(Moves, Protocol):
    def fly(self) -> None: ...


class Bird:
    speed = 1.0

    def move(self) -> None: ...

    def fly(self) -> None: ...


class Snail:
    speed = 0.1

    def move(self) -> None: ...


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int, (0, -3), (1.0, True, "1", None)),
        (float, (0, 2.5, float("nan")), (True, "1", None)),
        (bool, (True,), (1, "true")),
        (str, ("", "a"), (1, None, ("a",))),
        (int | None, (1, None), ("x",)),
        (Literal["a", 2], ("a", 2), ("b", 2.0)),
        (tuple[int, ...], ((), (1, 2)), ((1, "2"), 1, [1])),
        (tuple[int, str], ((1, "a"),), ((1,), ("a", 1))),
        (Sequence[int], ((1,), [2]), ("ab", (1.5,))),
        (Mapping[str, int], ({}, {"a": 1}), ({"a": "b"}, 3)),
        (dict[str, Any], ({"a": object()},), ({1: 2}, ())),
        (Moves, (Bird(), Snail()), (3, "x", None, (), {}, object())),
        (Flies, (Bird(),), (Snail(),)),
        (Snail, (Snail(),), (Bird(),)),
        (Any, (1, None, object()), ()),
    ],
)
def test_what_fits_an_annotation(kind, good, bad):
    assert all(fits(value, kind) for value in good)
    assert not any(fits(value, kind) for value in bad)


def test_the_error_names_the_field_cuts_the_value_and_says_what_is_accepted():
    with pytest.raises(
        FrisketError, match=r"sampler.steps = 'xxx.*\.\.\. is not accepted; it must be a whole number"
    ) as error:
        check_kind("x" * 1000, int, "sampler.steps")
    assert len(str(error.value)) < 200
    assert described(tuple[float, ...]) == "a list, each a number"
    assert described(Literal["a", "b"] | None) == "'a' or 'b' or null"
    assert described(Moves) == "a part that serves as Moves"


def test_members_are_those_of_all_protocols():
    assert members(Flies) == {"speed", "move", "fly"}


def test_the_fields_of_every_registered_part_are_checked():
    """An annotation that only a type checker can resolve would leave its class unchecked."""
    unread = [n for n in names() if lookup(n).__dataclass_fields__ and not hints_of(lookup(n))]
    assert not [n for n in unread if lookup(n).__module__.startswith("frisket.")]

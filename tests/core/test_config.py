from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import FrisketError, digest, from_config, override, register, to_config
from frisket.core.config import flatten


class Shape(Protocol):
    def area(self) -> float: ...


@register("shape/square")
@dataclass(frozen=True, kw_only=True)
class Square:
    side: float = 1.0

    def area(self) -> float:
        return self.side**2


@register("shape/sheet")
@dataclass(frozen=True, kw_only=True)
class Sheet:
    width: float
    height: float = 1.0

    def area(self) -> float:
        return self.width * self.height


@register("layer/plain")
@dataclass(frozen=True, kw_only=True)
class Layer:
    width: int = 8
    name: str = "plain"


@register("box/any")
@dataclass(frozen=True, kw_only=True)
class Box:
    """One field of every kind that a config may hold."""

    shape: Shape = Square()
    lid: Shape | None = None
    layers: tuple[Layer, ...] = (Layer(), Layer(width=16))
    count: int = 3
    limit: int | None = None
    rate: float = 0.1
    flat: bool = False
    mode: Literal["fast", "slow"] = "fast"
    level: Literal[1, 2, 3] | None = None
    grid: tuple[int, ...] = (1, 2)
    scale: tuple[float, ...] = ()
    label: str = "box"
    table: Any = field(default_factory=dict)

    dials = ("depth",)

    @property
    def depth(self) -> int:
        return len(self.layers)

    def with_depth(self, depth: int) -> Box:
        return replace(self, layers=self.layers[:1] * depth)


numbers = st.floats(allow_nan=False, allow_infinity=False)
shapes = st.builds(Square, side=numbers) | st.builds(Sheet, width=numbers, height=numbers)
layers = st.builds(Layer, width=st.integers(), name=st.text(max_size=5))
plain = st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=5)
names = st.text(max_size=4).filter(lambda k: k != "part")
tables = st.dictionaries(
    names,
    st.recursive(plain | shapes, lambda inner: st.lists(inner, max_size=3).map(tuple)
                 | st.dictionaries(names, inner, max_size=2), max_leaves=6),
    max_size=3,
)  # fmt: skip
boxes = st.builds(
    Box, shape=shapes, lid=st.none() | shapes, layers=st.lists(layers, max_size=3).map(tuple), count=st.integers(),
    limit=st.none() | st.integers(), rate=numbers, flat=st.booleans(), mode=st.sampled_from(["fast", "slow"]),
    grid=st.lists(st.integers(), max_size=3).map(tuple), table=tables,
)  # fmt: skip


@given(boxes)
def test_a_config_comes_back_through_json_as_it_was(box):
    again = from_config(json.loads(json.dumps(to_config(box))))
    assert again == box
    assert digest(again) == digest(box)


def test_a_digest_tells_configs_apart_and_ignores_the_order_of_names():
    assert digest(Box()) == digest(Box())
    assert digest(Box(count=4)) != digest(Box())
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len(digest(Box(), length=20)) == 20


@pytest.mark.parametrize("value", [object(), {1: 2}, {"part": "box/any"}, {3}, b"x", int])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(TypeError, match="cannot hold"):
        to_config(value)


def test_neither_an_unregistered_class_nor_an_unregistered_heir_is_saved():
    @dataclass(frozen=True)
    class Stranger:
        pass

    class Heir(Square):
        pass

    for value in (Stranger(), Heir()):
        with pytest.raises(TypeError, match="not registered"):
            to_config(value)


@pytest.mark.parametrize(
    "data",
    [
        {"part": "os.system", "command": "true"},
        {"part": "builtins/eval"},
        {"part": "__import__"},
        {"part": ["box/any"]},
        {"part": {"part": "box/any"}},
        {"part": None},
        {"part": "box/any", "__class__": "x"},
        {"part": "box/any", "part_name": "x"},
        {"part": "box/any", "shape": {"part": "subprocess.run"}},
        {"part": "box/any", "table": {"deep": [{"part": "posix/system"}]}},
        {"part": "shape/sheet"},
    ],
)
def test_a_hostile_or_broken_config_is_refused(data):
    with pytest.raises(FrisketError):
        from_config(data)


def test_an_unknown_field_is_refused_with_the_nearest():
    with pytest.raises(FrisketError, match="did you mean 'count'"):
        from_config({"part": "box/any", "cout": 3})


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("count", "7", 7), ("count", 7, 7), ("limit", "9", 9), ("limit", "none", None), ("rate", "1e-3", 1e-3),
        ("rate", "2", 2.0), ("flat", "true", True), ("flat", "False", False), ("mode", "slow", "slow"),
        ("level", "2", 2), ("level", "none", None), ("label", "3", "3"), ("grid", "4,5,6", (4, 5, 6)),
        ("grid", "[7]", (7,)), ("grid", "7", (7,)), ("scale", "0.5", (0.5,)), ("grid", "[]", ()),
    ],
)  # fmt: skip
def test_a_string_is_read_as_what_the_field_holds(name, given, wanted):
    got = getattr(override(Box(), name, given), name)
    assert got == wanted
    assert type(got) is type(wanted)


@pytest.mark.parametrize(
    ("name", "given"),
    [("count", "many"), ("count", "1.5"), ("rate", "fast"), ("flat", "maybe"), ("mode", "fats"), ("level", "4"),
     ("grid", "1,x"), ("grid", "[1"), ("table", "x"), ("shape", "none"), ("count.more", "1")],
)  # fmt: skip
def test_a_string_of_another_kind_is_refused(name, given):
    with pytest.raises(FrisketError, match=name.split(".")[0]):
        override(Box(), name, given)


def test_a_wrong_choice_names_the_nearest():
    with pytest.raises(FrisketError, match="did you mean 'fast'"):
        override(Box(), "mode", "fats")


def test_override_reaches_nested_parts_and_tuple_items_and_changes_nothing_else():
    box = Box()
    changed = override(override(box, "shape.side", "2.5"), "layers.1.width", "64")
    assert changed == replace(box, shape=Square(side=2.5), layers=(Layer(), Layer(width=64)))
    assert box == Box()


def test_a_part_is_swapped_by_its_short_or_full_name():
    box = Box(shape=Sheet(width=3.0))
    assert override(box, "shape", "square").shape == Square()
    assert override(box, "shape", "shape/square").shape == Square()
    assert override(box, "shape", Square(side=4)).shape == Square(side=4)


def test_an_optional_part_is_set_and_unset():
    box = Box(lid=Square(side=2))
    assert override(box, "lid", "none").lid is None
    assert override(box, "lid", "square").lid == Square()


def test_a_part_of_another_slot_or_one_that_needs_more_is_refused():
    with pytest.raises(FrisketError, match="unknown option --shape"):
        override(Box(), "shape", "layer/plain")
    with pytest.raises(FrisketError, match="needs a value for width"):
        override(Box(), "shape", "sheet")
    with pytest.raises(FrisketError, match="did you mean 'square'"):
        override(Box(), "shape", "sqare")


def test_a_dial_is_set_through_its_own_method():
    assert len(override(Box(), "depth", "5").layers) == 5
    assert override(Box(), "depth", 1).depth == 1


@pytest.mark.parametrize(
    ("name", "near"), [("cuont", "count"), ("shape.sid", "side"), ("dept", "depth"), ("layers.0.widht", "width")]
)
def test_a_wrong_name_is_refused_with_the_nearest(name, near):
    with pytest.raises(FrisketError, match=f"did you mean '{near}'"):
        override(Box(), name, "1")


@pytest.mark.parametrize("name", ["layers.2.width", "layers.x.width", "layers.-1.width"])
def test_an_index_outside_a_tuple_is_refused(name):
    with pytest.raises(FrisketError, match="index"):
        override(Box(), name, "1")


@given(boxes)
def test_every_name_that_flatten_lists_may_be_set_to_what_it_lists(box):
    parts = ("shape/square", "shape/sheet", "layer/plain")
    for name, value in flatten(box).items():
        if name != "depth" and value not in parts:  # a part's name stands for that part with its defaults
            assert override(box, name, value) == box


def test_flatten_lists_leaves_parts_and_dials_by_dotted_name():
    listed = flatten(Box())
    assert listed["shape"] == "shape/square"
    assert listed["shape.side"] == 1.0
    assert listed["layers.1.width"] == 16
    assert listed["grid"] == (1, 2)
    assert listed["depth"] == 2

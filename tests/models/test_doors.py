"""Conditions by four doors, and names that do not fit."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from frisket.core import FrisketError
from frisket.core.condition import Condition
from frisket.models.doors import Door, Doors, counted
from frisket.models.init import build_real
from frisket.models.layers.embedders import ClassIds, Image, Number, TextIds

DOORS = (
    Door(name="label", embedder=ClassIds(classes=4)),
    Door(name="rate", embedder=Number()),
    Door(name="words", way="context", embedder=TextIds(vocabulary=9, length=5)),
    Door(name="map", way="channels", embedder=Image(channels=2)),
    Door(name="style", way="tokens", embedder=ClassIds(classes=3)),
)
COND = Condition.of(
    label=torch.tensor([0, 3]), rate=torch.tensor([0.1, 0.9]), words=torch.ones(2, 5, dtype=torch.int64),
    map=torch.ones(2, 2, 4, 4), style=torch.tensor([1, 2]),
)  # fmt: skip


@pytest.fixture
def doors():
    return build_real(lambda: Doors(DOORS, 6, 8))


def test_each_name_goes_its_way(doors):
    vector = doors.vector(COND)
    wanted = doors.embedders["label"](COND.values["label"], None) + doors.embedders["rate"](COND.values["rate"], None)
    assert torch.equal(vector, wanted)
    assert vector.shape == (2, 6)
    words = doors.sequences(COND, "context")
    assert list(words) == ["words"]
    assert words["words"].h.shape == (2, 5, 8)
    assert words["words"].stream.tolist() == [3] * 5
    style = doors.sequences(COND, "tokens")["style"]
    assert style.h.shape == (2, 1, 8)
    assert not style.read.any()
    assert doors.joined(torch.zeros(2, 1, 4, 4), COND).shape == (2, 3, 4, 4)


def test_a_drop_reaches_its_embedder_only(doors):
    dropped = COND.without("label", where=torch.tensor([True, False]))
    assert not torch.equal(doors.vector(dropped)[0], doors.vector(COND)[0])
    assert torch.equal(doors.vector(dropped)[1], doors.vector(COND)[1])
    assert torch.equal(doors.sequences(dropped, "context")["words"].h, doors.sequences(COND, "context")["words"].h)


def test_names_must_be_those_that_are_read(doors):
    doors.check(COND)
    few = Condition({k: v for k, v in COND.values.items() if k != "map"} | {"mpa": COND.values["map"]})
    with pytest.raises(
        FrisketError, match=r"no door reads mpa; missing: map \(this model reads: label, map, rate, style"
    ):
        doors.check(few)
    with pytest.raises(FrisketError, match="missing: label, map, rate, style, words"):
        doors.check(None)
    with pytest.raises(FrisketError, match="reads: none"):
        Doors((), 6, 8).check(COND)


def test_a_map_of_another_size_is_refused(doors):
    with pytest.raises(FrisketError, match=r"'map' of size \(4, 4\) must be \(8, 8\)"):
        doors.joined(torch.zeros(2, 1, 8, 8), COND)


def test_an_embedder_must_fit_its_way():
    with pytest.raises(FrisketError, match="by vector"):
        Door(name="map", embedder=Image())
    with pytest.raises((FrisketError, TypeCheckError), match="way"):
        Door(way="side")
    with pytest.raises(FrisketError, match="different names"):
        Doors((DOORS[0], DOORS[0]), 6, 8)


def test_doors_are_told_how_many_classes_there_are():
    doors = (Door(name="label"), Door(name="words", way="context", embedder=TextIds()))
    found = counted(doors, {"label": 7, "style": 3})
    assert [(d.name, getattr(d.embedder, "classes", None)) for d in found] == [
        ("label", 7),
        ("words", None),
        ("style", 3),
    ]
    assert [d.name for d in counted(doors, {})] == ["words"]  # nobody counts the labels
    with pytest.raises(FrisketError, match="embeds something else"):
        counted(doors, {"words": 2})

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import Condition, FrisketError


def example(b: int = 4) -> Condition:
    return Condition.of(label=torch.arange(b), map=torch.arange(b * 3.0).reshape(b, 3))


def test_of_holds_the_values_by_name_with_nothing_dropped():
    cond = example()
    assert list(cond.values) == ["label", "map"]
    assert len(cond) == 4
    assert not cond.dropped("label").any()


def test_without_drops_the_named_value_in_every_row_and_leaves_the_original():
    cond = example()
    bare = cond.without("label")
    assert bare.dropped("label").all()
    assert not bare.dropped("map").any()
    assert not cond.dropped("label").any()


def test_without_names_drops_everything():
    bare = example().without()
    assert all(bare.dropped(name).all() for name in ("label", "map"))


def test_drops_add_up():
    first, second = torch.tensor([True, False, False, False]), torch.tensor([False, True, False, False])
    cond = example().without("label", where=first).without("label", where=second)
    assert cond.dropped("label").tolist() == [True, True, False, False]


def test_dropping_an_unknown_name_is_refused():
    with pytest.raises(FrisketError, match="unknown condition 'lable'; did you mean 'label'"):
        example().without("lable")


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_rows_take_values_and_drops_alike(index):
    where = torch.tensor([True, False, True, False])
    taken = example().without("label", where=where).rows(torch.tensor(index))
    assert taken.values["label"].tolist() == index
    assert taken.dropped("label").tolist() == where[index].tolist()
    assert taken.values["map"].shape == (len(index), 3)


def test_rows_take_a_slice_or_a_boolean_tensor():
    cond = example()
    assert cond.rows(slice(1, 3)).values["label"].tolist() == [1, 2]
    assert cond.rows(cond.values["label"] > 2).values["label"].tolist() == [3]


@given(st.integers(1, 3), st.booleans(), st.booleans())
def test_cat_undoes_a_split(cut, drop_head, drop_tail):
    cond = example()
    head, tail = cond.rows(slice(0, cut)), cond.rows(slice(cut, 4))
    head, tail = head.without("map") if drop_head else head, tail.without("map") if drop_tail else tail
    joined = Condition.cat([head, tail])
    assert torch.equal(joined.values["label"], cond.values["label"])
    assert joined.dropped("map").tolist() == [drop_head] * cut + [drop_tail] * (4 - cut)


def test_cat_refuses_conditions_of_different_names():
    other = Condition.of(label=torch.arange(2))
    for parts in ([example(), other], [other, example()]):
        with pytest.raises(FrisketError, match="map"):
            Condition.cat(parts)


def test_to_changes_the_dtype_of_floats_only():
    cond = example().without("label").to(torch.float64)
    assert cond.values["map"].dtype == torch.float64
    assert cond.values["label"].dtype == torch.int64
    assert cond.drop["label"].dtype == torch.bool


def test_to_moves_everything():
    cond = example().without("label").to("meta")
    assert {v.device.type for v in (*cond.values.values(), *cond.drop.values())} == {"meta"}


def test_an_empty_condition_has_no_rows():
    assert len(Condition()) == 0
    assert Condition().without().drop == {}


def test_a_negative_stands_in_for_what_is_left_out():
    negative = Condition.of(label=torch.tensor([7, 7, 7, 7])).without("label", where=torch.tensor([0, 0, 0, 1]).bool())
    cond = replace(example(), negative=negative)
    bare = cond.without()
    assert bare.values["label"].tolist() == [7, 7, 7, 7]
    assert bare.dropped("label").tolist() == [False, False, False, True], "where the negative is nothing, the null"
    assert bare.dropped("map").all()
    some = cond.without("label", where=torch.tensor([True, False, False, True]))
    assert some.values["label"].tolist() == [7, 1, 2, 7]
    assert some.dropped("label").tolist() == [False, False, False, True]
    assert cond.rows(slice(2, 4)).without().dropped("label").tolist() == [False, True]
    assert cond.to("cpu").negative.values["label"].tolist() == [7] * 4
    assert Condition.cat([cond, bare]).negative is None
    assert cond.values["label"].tolist() == [0, 1, 2, 3]

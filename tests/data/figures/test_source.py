"""The set keeps the promises of all sets, and its swaps are exact."""

import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.data.base import parse_data
from frisket.data.figures.source import Figures
from frisket.testing import check_config, check_data


def test_the_set_keeps_its_promises():
    check_config(Figures(size=(32, 32), bend=0.5))
    check_data(Figures())
    assert parse_data("figures") == Figures()


def test_a_swap_into_the_own_garment_is_the_item_itself():
    source, ids = Figures().open("test"), torch.arange(5)
    batch, same = source.batch(ids), source.swap(ids, ids)
    assert batch.keys() == same.keys()
    assert all(torch.equal(batch[k], same[k]) for k in batch)


def test_a_swap_shows_the_same_person_in_the_garment_of_another():
    source, ids = Figures().open("test"), torch.arange(5)
    batch, other = source.batch(ids), source.swap(ids)
    assert torch.equal(batch["person"], other["person"])
    assert torch.equal(other["garment"][:4], batch["garment"][1:])
    assert not torch.equal(batch["x"], other["x"])


def test_without_bend_all_stand_alike():
    source = Figures(bend=0.0).open()
    region = source.batch(torch.arange(4))["region"]
    assert torch.equal(region[0], region[3])
    assert not torch.equal(*Figures().open().batch(torch.arange(2))["region"])


def test_refusals():
    with pytest.raises(FrisketError, match=r"data\.bend = 2"):
        Figures(bend=2.0)
    with pytest.raises(FrisketError, match=r"data\.size"):
        Figures(size=(4, 4))
    with pytest.raises(FrisketError, match="ids"):
        Figures().open().batch(torch.tensor([-1]))

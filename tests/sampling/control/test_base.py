import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.sampling.control.base import doubled, later, leaders, sites_of, streams


def step(branch):
    return Step(seed=0, sample=torch.arange(2), branch=branch)


def test_branches_are_doubled_by_name():
    assert doubled("conditional") == "source+target"
    assert doubled("null") == "null source+null target"


def test_targets_follow_the_source_of_their_branch():
    assert leaders(step("source+target+null source+null target")) == [0, 0, 2, 2]
    assert leaders(step("conditional+null")) == [0, 1]
    assert leaders(step("target")) == [0]


def test_rows_of_the_streams():
    found = streams(8, step("source+target+null source+null target"))
    assert found is not None
    assert [rows.tolist() for rows in found] == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert streams(4, step("conditional+null")) is None
    with pytest.raises(FrisketError, match="rows = 5"):
        streams(5, step("source+target"))


def test_sites_by_pattern_and_without_the_first():
    class Model:
        def sites(self):
            return ["model", *(f"block[{i}].attn" for i in range(6))]

    sites = sites_of(Model(), ("block[:].attn",))
    assert len(sites) == 6
    assert later(sites, 1 / 3) == sites[2:]
    assert later(sites, 1.0) == []
    with pytest.raises(FrisketError, match="unknown site"):
        sites_of(Model(), ("block[:].cross",))

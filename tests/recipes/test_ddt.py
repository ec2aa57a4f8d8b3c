"""DDT's own promises: counts, arms of equal blocks, and lists of equal length."""

from __future__ import annotations

from frisket.caching.listed import Listed
from frisket.caching.refresh import Refresh
from frisket.experiments.arms import arms_of
from frisket.recipes import ddt


def test_every_count_comes_out():
    assert all(count.compute() == count.published for count in ddt.COUNTS)


def test_arms_have_eight_blocks_of_one_kind_and_differ_in_where_they_stand():
    arms = arms_of(ddt.experiment("tiny"), ddt.STUDY)
    for name, arm in arms.items():
        model = arm.start.model
        first = () if model.encoder is None else model.encoder.blocks
        assert len(first) + len(model.blocks) == 8
        assert len({*first, *model.blocks}) == 1
        assert (model.encoder is None) == (name == "one stack of 8")
        assert arm.training is None
    assert len({arm.start.training for arm in arms.values()}) == 1


def test_planned_and_even_lists_compute_equally_often():
    arms = arms_of(ddt.experiment("tiny"), ddt.STUDY)
    for count in (6, 12):
        (cache,) = arms[f"6 + 2, {count} even steps"].sampler.caches
        assert isinstance(cache, Listed)
        assert len(cache.steps) == count
        assert arms[f"6 + 2, {count} planned steps"].prepare == (Refresh(count=count),)
        assert arms[f"6 + 2, {count} even steps"].start == arms[f"6 + 2, {count} planned steps"].start


def test_the_paper_size_is_the_largest_one():
    paper = ddt.experiment("paper")
    assert len(paper.start.model.encoder.blocks) == 22
    assert len(paper.start.model.blocks) == 6

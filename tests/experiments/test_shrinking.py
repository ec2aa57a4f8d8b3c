"""Shrinking a pipeline: equal sizes, a plain model at the end, refusals before any work."""

from __future__ import annotations

import pytest
import torch
from small_models import pipeline

from frisket.core.errors import FrisketError
from frisket.data.digits import Digits
from frisket.experiments.shrinking import Plan, groups_for, section, shrink
from frisket.models.count import count_parameters
from frisket.sampling.pipeline import Pipeline

QUICK = {"search": 2, "recovery": 2, "batch": 2, "items": 4, "through": 1}


@pytest.mark.parametrize(("method", "others"), [("tinyfusion", 3), ("ecodiff", 2)])
def test_every_variant_has_the_same_size_and_the_result_is_a_plain_model(method, others, tmp_path):
    said = []
    shrunk, variants = shrink(pipeline, Digits(), Plan(method=method, **QUICK), tmp_path / "out", said.append)
    full, *pruned = variants
    assert [v.name for v in variants[:2]] == ["unpruned", method]
    assert len(pruned) == others + 1
    assert {v.parameters for v in pruned} == {count_parameters(shrunk.model)}
    assert pruned[0].parameters < full.parameters
    assert pruned[0].macs < full.macs
    assert all(v.recovered is not None for v in pruned)
    again = Pipeline.from_pretrained(tmp_path / "out" / "model")
    assert torch.equal(again.sample(1, label=2), shrunk.sample(1, label=2))
    assert len(said) == others + 3
    table = section(Plan(method=method), variants).table
    assert len(table.rows) == len(variants)
    assert table.rows[0][2] == table.rows[0][5] == ""


def test_without_recovery_nothing_is_trained_after_the_search(tmp_path):
    _, variants = shrink(pipeline, Digits(), Plan(**QUICK | {"recovery": 0}), tmp_path, lambda line: None)
    assert all(v.recovered is None for v in variants)
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"search"}


@pytest.mark.parametrize(
    ("depth", "share", "groups"),
    [(6, 0.5, ((1, 2),) * 3), (28, 0.5, ((1, 2),) * 14), (6, 0.67, ((2, 3),) * 2), (7, 0.5, ((4, 7),)), (2, 0.9, ((1, 2),)),
     (4, 0.01, ((1, 4),))],
)  # fmt: skip
def test_groups_are_the_smallest_that_keep_the_share(depth, share, groups):
    assert groups_for(depth, share) == groups


def test_what_cannot_be_done_is_refused_before_any_work(tmp_path):
    with pytest.raises(FrisketError, match="unknown method 'tinyfuson'; did you mean 'tinyfusion'"):
        Plan(method="tinyfuson")
    with pytest.raises(FrisketError, match="keep = 1"):
        Plan(keep=1.0)
    with pytest.raises(FrisketError, match="2 or more"):
        groups_for(1, 0.5)
    with pytest.raises(FrisketError, match="patterns a group"):
        groups_for(23, 0.5)
    (tmp_path / "something").touch()
    with pytest.raises(FrisketError, match="holds something already"):
        shrink(pipeline, Digits(), Plan(**QUICK), tmp_path)

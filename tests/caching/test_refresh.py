"""The list of steps found by dynamic programming: against all lists, and on a pipeline."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.caching.listed import Listed, even
from frisket.caching.refresh import Refresh, cheapest, cost, results_of, similarity
from frisket.codecs.pixels import Pixels
from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.encoders import TokenEncoder
from frisket.models.layers.ends import Patches
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Interval
from frisket.sampling.solvers.heun import Heun
from frisket.testing import check_config
from frisket.testing.backbones import stir


def drawn(n: int, seed: int):
    values = torch.randn(n, 2, 3, 4, generator=torch.Generator().manual_seed(seed))
    return similarity(list(values.cumsum(0)))


def pipeline(**sampler):
    info = Info(kind="image", shape=(3, 4, 4), classes=("a", "b"))
    codec, process = Pixels(), Gaussian()
    config = Transformer(
        width=16, heads=2, input=Patches(patch=2), encoder=TokenEncoder(blocks=repeat(Block(), 2)),
        blocks=repeat(Block(), 1),
    )  # fmt: skip
    model = config.fit(codec.build().spec(info), process.outputs(3), {"label": 2}).build()
    stir(model, 0.3)
    return Pipeline(model, process, codec, Sampler(**sampler), info)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 8), seed=st.integers(0, 10_000), data=st.data())
def test_no_other_list_costs_less(n, seed, data):
    count, similar = data.draw(st.integers(1, n)), drawn(n, seed)
    found = cheapest(similar, count)
    assert len(found) == count
    assert found[0] == 0
    least = min(cost(similar, (0, *rest)) for rest in combinations(range(1, n), count - 1))
    assert cost(similar, found) == pytest.approx(least, abs=1e-9)
    assert cost(similar, found) <= cost(similar, even(n, count).steps) + 1e-9


def test_cosines_are_means_over_tokens():
    values = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.cosine_similarity(values[0].double(), values[2].double(), dim=-1).mean()
    similar = similarity(list(values))
    assert float(similar[0, 2]) == pytest.approx(float(wanted))
    torch.testing.assert_close(similar.diagonal(), torch.ones(3, dtype=torch.float64))
    assert cost(similar, (0, 1, 2)) == pytest.approx(0.0, abs=1e-12)
    assert cost(similar, (0,)) == pytest.approx(float(2 - similar[0, 1] - similar[0, 2]))


def test_a_jump_is_where_it_computes():
    early, late = torch.ones(1, 1, 2), torch.tensor([[[1.0, -1.0]]])
    assert cheapest(similarity([early] * 5 + [late] * 3), 2) == (0, 5)
    assert cheapest(similarity([early] * 4), 4) == (0, 1, 2, 3)
    with pytest.raises(FrisketError, match="count"):
        cheapest(similarity([early] * 2), 3)


def test_a_pipeline_gets_its_list_and_runs_by_it():
    check_config(Refresh(count=3))
    own = pipeline(steps=7, guidance=cfg(2.0))
    prepared = Refresh(count=3, templates=4).apply(pipeline(steps=7, guidance=cfg(2.0)), None, {}, 0)
    (cache,) = prepared.sampler.caches
    assert isinstance(cache, Listed)
    assert (len(cache.steps), cache.total) == (3, 7)
    *_, end = prepared.snapshots(3, seed=1, label=0)
    assert sum(f.full for f in end.reports[0].forwards) == 3
    values = results_of(own, "encoder", 4, 0)
    assert [tuple(v.shape) for v in values] == [(8, 4, 16)] * 7
    assert cache.steps == cheapest(similarity(values), 3)
    again = Refresh(count=7).apply(pipeline(steps=7, guidance=cfg(2.0)), None, {}, 0)
    assert torch.equal(again.sample(3, seed=1, label=0), own.sample(3, seed=1, label=0))


def test_rows_that_are_not_always_there_are_left_out():
    guided = pipeline(steps=4, guidance=cfg(Interval(high=0.6)))
    assert {len(v) for v in results_of(guided, "encoder", 3, 0)} == {3}


def test_what_cannot_be_listed_is_refused():
    with pytest.raises(FrisketError, match="more than once"):
        results_of(pipeline(steps=3, update=Heun()), "encoder", 2, 0)
    with pytest.raises(FrisketError, match="site"):
        results_of(pipeline(steps=3), "encoders", 2, 0)
    with pytest.raises(FrisketError, match=r"prepare\.count"):
        Refresh(count=0)
    with pytest.raises(FrisketError, match="count"):
        Refresh(count=9).apply(pipeline(steps=3), None, {}, 0)
    assert replace(Refresh(), templates=2).templates == 2

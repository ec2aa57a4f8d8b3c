"""The contract: nothing leaks from a run, branch, call, sample or shape to another, and nothing stays on the model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from caching_fakes import forward, states, tiny

from frisket.caching.intervals import Interval
from frisket.core import Condition, FrisketError, Step
from frisket.core.config import digest
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.heun import Heun

CACHE = Interval(every=3)
LABELS = Condition.of(label=torch.arange(2))


def sample(model, sampler, seed=0, ids=(0, 1), size=4):
    step = Step(seed=seed, sample=torch.tensor(ids))
    return sampler.sample(model, Gaussian(), shape=(1, size, size), step=step, cond=LABELS)


def test_it_leaves_no_trace():
    model, (x,) = tiny(), states(1)
    before = dict(model.__dict__)
    with CACHE.install(model):
        forward(model, x, 0.5, 0)
        assert "_site_handlers" in model.__dict__
    assert model.__dict__ == before
    with pytest.raises(RuntimeError), CACHE.install(model):
        raise RuntimeError
    assert model.__dict__ == before


def test_a_model_without_sites_is_refused_with_the_way_out():
    with pytest.raises(FrisketError, match="Linear lists no sites.*describe"), CACHE.install(torch.nn.Linear(2, 2)):
        pass


def test_runs_in_a_row_do_not_meet():
    model, sampler = tiny(), Sampler(steps=6)
    fresh = [sample(model, replace(sampler, caches=(CACHE,)), seed) for seed in (0, 1)]
    with CACHE.install(model):
        assert torch.equal(sample(model, sampler, 0), fresh[0])
        assert torch.equal(sample(model, sampler, 1), fresh[1])


def test_runs_in_turns_do_not_meet():
    model, sampler = tiny(), Sampler(steps=6)
    alone = sample(model, replace(sampler, caches=(CACHE,)))
    step = Step(seed=0, sample=torch.arange(2))
    with CACHE.install(model):
        one, two = (
            sampler.run(model, Gaussian(), shape=(1, 4, 4), step=step, cond=LABELS.rows(torch.tensor(rows)))
            for rows in ([0, 1], [1, 0])
        )
        last = None
        for last, _ in zip(one, two, strict=True):  # noqa: B007
            pass
    assert torch.equal(last.x, alone)


def test_other_samples_and_shapes_begin_anew():
    model, (x,), (wide,) = tiny(), states(1), states(1, size=8)
    with CACHE.install(model) as report:
        forward(model, x, 0.9, 0)
        for index, other in enumerate((x[:1], wide), start=1):
            dense = forward(model, other, 0.5, index)
            assert report.forwards[-1].full
            assert torch.isfinite(dense).all()
        forward(model, wide, 0.4, 3, sample=torch.tensor([5, 6]))
        assert report.forwards[-1].full
        forward(model, wide, 0.4, 4, sample=torch.tensor([5, 6]))
        assert not report.forwards[-1].full


def test_branches_and_calls_have_values_of_their_own():
    model, (x, y) = tiny(), states(2)
    with CACHE.install(model) as report:
        kept = forward(model, x, 0.9, 0)
        forward(model, y, 0.9, 0, branch="null")
        forward(model, y, 0.9, 0, call=1)
        assert torch.equal(forward(model, x, 0.9, 1), kept)
    assert [f.full for f in report.forwards] == [True, True, True, False]


def test_a_step_that_does_not_follow_begins_anew():
    model, (x,) = tiny(), states(1)
    with CACHE.install(model) as report:
        for index in (0, 1, 1, 2, 0):
            forward(model, x, 0.5, index, total=9)
    assert [f.full for f in report.forwards] == [True, False, True, True, True]


@pytest.mark.parametrize(
    "sampler", [Sampler(steps=7), Sampler(steps=5, update=Heun()), Sampler(steps=6, guidance=cfg(2.0))]
)
def test_the_sampler_mounts_it_for_each_run(sampler):
    model = tiny()
    dense = sample(model, sampler)
    assert torch.equal(sample(model, replace(sampler, caches=(Interval(every=1),))), dense)
    cached = replace(sampler, caches=(CACHE,))
    assert torch.equal(sample(model, cached), sample(model, cached))
    assert not torch.equal(sample(model, cached), dense)
    assert "_site_handlers" not in model.__dict__


def test_the_second_call_of_heun_has_a_line_of_its_own():
    model, sampler = tiny(), Sampler(steps=5, update=Heun(), caches=(Interval(every=2),))
    *_, last = sampler.run(model, Gaussian(), shape=(1, 4, 4), step=Step(seed=0, sample=torch.arange(2)), cond=LABELS)
    (report,) = last.reports
    full = [(f.index, f.call) for f in report.forwards if f.full]
    assert full == [(0, 0), (0, 1), (2, 0), (2, 1), (4, 0)]


def test_samples_do_not_depend_on_their_batch():
    model, sampler = tiny(), Sampler(steps=6, caches=(CACHE,))
    both = sample(model, sampler)
    step = Step(seed=0, sample=torch.tensor([1]))
    one = sampler.sample(model, Gaussian(), shape=(1, 4, 4), step=step, cond=LABELS.rows(torch.tensor([1])))
    torch.testing.assert_close(one, both[1:], rtol=1e-5, atol=1e-5)


def test_caches_nest_in_their_order():
    model, sampler = tiny(), Sampler(steps=6)
    names = (Interval(every=2, branches=("attn",)), Interval(every=3, branches=("ffn",)))
    *_, last = replace(sampler, caches=names).run(
        model, Gaussian(), shape=(1, 4, 4), step=Step(seed=0, sample=torch.arange(2)), cond=LABELS
    )
    assert [r.computed for r in last.reports] == [3 * names[0].full_steps(6), 3 * names[1].full_steps(6)]


def test_a_sampler_with_a_cache_is_a_config():
    assert digest(Sampler(caches=(CACHE,))) != digest(Sampler())

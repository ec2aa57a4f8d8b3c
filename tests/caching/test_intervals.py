from __future__ import annotations

import pytest
import torch
from caching_fakes import forward, states, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.caching.forecasts import Taylor
from frisket.caching.intervals import Interval
from frisket.core import FrisketError, from_config, to_config
from frisket.testing import check_config


def run(model, cache, xs):
    """The outputs of one run over the states xs, and the report."""
    with cache.install(model) as report:
        outs = [forward(model, x, 1 - i / len(xs), i, len(xs)) for i, x in enumerate(xs)]
    return outs, report


@settings(max_examples=50, deadline=None)
@given(total=st.integers(1, 300), every=st.integers(1, 12))
def test_the_number_of_full_steps_is_the_papers(total, every):
    cache = Interval(every=every)
    wanted = -(-total // every) + ((total - 1) % every != 0)
    assert cache.full_steps(total) == wanted
    assert cache.full(0, total)
    assert cache.full(total - 1, total)


def test_full_steps_count_down_to_zero():
    full = [i for i in range(10) if Interval(every=4).full(i, 10)]
    assert full == [0, 1, 5, 9]  # s = 9 (the first), 8, 4, 0


def test_without_a_total_multiples_count_from_the_first_step():
    assert [i for i in range(10) if Interval(every=4, first=2).full(i, 0)] == [0, 1, 4, 8]


@pytest.mark.parametrize("cache", [Interval(every=1), Interval(every=1, forecast=Taylor(order=2))])
def test_interval_one_is_the_dense_run_bit_for_bit(cache):
    model, xs = tiny(), states(5)
    outs, report = run(model, cache, xs)
    for i, (x, out) in enumerate(zip(xs, outs, strict=True)):
        assert torch.equal(out, forward(model, x, 1 - i / 5, i, 5))
    assert report.share == 1.0
    assert report.reused == 0


def test_reused_steps_call_no_mixer():
    model, calls = tiny(), []
    hooks = [
        branch.mixer.register_forward_hook(lambda *_: calls.append(1))
        for block in model.blocks
        for branch in block.branches.values()
    ]
    seen = []
    with Interval(every=3).install(model):
        for i, x in enumerate(states(7)):
            calls.clear()
            forward(model, x, 1 - i / 7, i, 7)
            seen.append(len(calls))
    for hook in hooks:
        hook.remove()
    assert seen == [6, 0, 0, 6, 0, 0, 6]


def test_a_reused_step_still_follows_the_state_and_the_time():
    model, (first, second) = tiny(), states(2)
    with Interval(every=9).install(model):
        forward(model, first, 0.9, 0)
        a = forward(model, second, 0.8, 1)
        b = forward(model, first, 0.8, 2)
        c = forward(model, first, 0.4, 3)
    assert not torch.allclose(a, b)
    assert not torch.allclose(b, c)


def test_the_same_state_and_time_gives_the_same_output_from_the_cache():
    model, (x,) = tiny(), states(1)
    with Interval(every=9).install(model) as report:
        full, cached = forward(model, x, 0.7, 0), forward(model, x, 0.7, 1)
    assert torch.equal(full, cached)
    assert report.full == 1


@pytest.mark.parametrize("every", [2, 5])
def test_branches_that_ignore_their_input_are_cached_without_error(every):
    model, xs = tiny(), states(6)
    with torch.no_grad():
        for block in model.blocks:
            block.branches["attn"].mixer.qkv.weight.zero_()
            block.branches["ffn"].mixer.up.weight.zero_()
    outs, report = run(model, Interval(every=every), xs)
    assert report.reused > 0
    for i, (x, out) in enumerate(zip(xs, outs, strict=True)):
        torch.testing.assert_close(out, forward(model, x, 1 - i / 6, i, 6), rtol=0, atol=1e-6)


def test_only_the_named_branches_are_cached():
    model, xs = tiny(), states(4)
    _, report = run(model, Interval(every=4, branches=("ffn",)), xs)
    assert (report.computed, report.reused) == (3 * 2, 3 * 2)
    with pytest.raises(FrisketError, match="branch 'fnn'; did you mean 'ffn'"):
        Interval(branches=("fnn",)).mount(model)


def test_it_is_a_config():
    check_config(Interval(every=4, forecast=Taylor(order=2), branches=("attn",)))
    assert from_config(to_config(Interval())) == Interval()
    with pytest.raises(FrisketError, match=r"cache\.every = 0"):
        Interval(every=0)
    with pytest.raises(FrisketError, match=r"cache\.first = 0"):
        Interval(first=0)

from __future__ import annotations

import pytest
import torch
from caching_fakes import forward, states, tiny

from frisket.caching.first_block import FirstBlock, change
from frisket.caching.forecasts import Taylor
from frisket.core import FrisketError
from frisket.testing import check_config


def run(model, cache, xs, times=None):
    times = times or [1 - i / len(xs) for i in range(len(xs))]
    with cache.install(model) as report:
        outs = [forward(model, x, t, i, len(xs)) for i, (x, t) in enumerate(zip(xs, times, strict=True))]
    return outs, report


def test_threshold_zero_is_the_dense_run_bit_for_bit():
    model, xs = tiny(), states(2) * 2
    outs, report = run(model, FirstBlock(threshold=0.0), xs, [0.5] * 4)
    for i, (x, out) in enumerate(zip(xs, outs, strict=True)):
        assert torch.equal(out, forward(model, x, 0.5, i, 4))
    assert report.reused == 0


def test_the_first_block_always_runs_and_equal_inputs_skip_the_rest():
    model, (x,) = tiny(), states(1)
    outs, report = run(model, FirstBlock(threshold=1e-6), [x] * 3, [0.5] * 3)
    assert [(f.computed, f.reused) for f in report.forwards] == [(6, 0), (2, 4), (2, 4)]
    assert torch.equal(outs[0], outs[2])


def test_a_large_threshold_skips_all_but_the_first_steps():
    _, report = run(tiny(), FirstBlock(threshold=1e9, first=2), states(5))
    assert [f.full for f in report.forwards] == [True, True, False, False, False]


def test_no_more_than_longest_in_a_row():
    _, report = run(tiny(), FirstBlock(threshold=1e9, longest=2), states(7))
    assert [f.full for f in report.forwards] == [True, False, False] * 2 + [True]


def test_slow_drift_is_noticed():
    model, (x, other) = tiny(), states(2)
    xs = [x + 0.1 * i * other for i in range(12)]
    _, report = run(model, FirstBlock(threshold=0.1), xs, [0.5] * 12)
    assert 1 < report.full < 12


def test_a_forecast_stands_in():
    _, report = run(tiny(), FirstBlock(threshold=1e9, first=2, forecast=Taylor(order=1)), states(4))
    assert (report.reused, report.forecast) == (0, 8)


def test_the_change_is_relative_and_counts_all_branches():
    one, two = torch.tensor([1.0, -1.0]), torch.tensor([2.0, -2.0])
    assert change({"a": one, "b": two}, {"a": one, "b": one}) == pytest.approx(2 / 4)
    assert change({"a": one}, {}) == float("inf")
    assert change({"a": (one, None)}, {"a": (two, None)}) == pytest.approx(2 / 4)


def test_it_is_a_config():
    check_config(FirstBlock(threshold=0.2, forecast=Taylor()))
    for field in ({"threshold": -1.0}, {"first": 0}, {"longest": 0}):
        with pytest.raises(FrisketError, match=f"cache.{next(iter(field))}"):
            FirstBlock(**field)

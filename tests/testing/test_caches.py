from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from caching_fakes import forward, states, tiny

from frisket.caching.base import Cache, Mounted
from frisket.caching.first_block import FirstBlock
from frisket.caching.forecasts import Polynomial, Taylor
from frisket.caching.intervals import Interval
from frisket.caching.report import Report
from frisket.core import register
from frisket.testing import check_cache

XS = states(6)


def run(model):
    return [forward(model, x, 1 - i / len(XS), i, len(XS)) for i, x in enumerate(XS)]


@pytest.mark.parametrize(
    "cache",
    [
        Interval(every=3),
        Interval(every=2, forecast=Taylor(order=1), first=2),
        Interval(every=2, forecast=Polynomial(order=2), sites=("model",)),
        FirstBlock(threshold=1e9),
    ],
)
def test_every_cache_keeps_its_promises(cache):
    check_cache(cache, tiny(), run)


@pytest.mark.parametrize("cache", [Interval(every=1), FirstBlock(threshold=0.0)])
def test_the_setting_that_skips_nothing_is_dense(cache):
    check_cache(cache, tiny(), run, dense=True)


def test_a_setting_that_skips_is_not_dense():
    with pytest.raises(AssertionError, match="is no dense run"):
        check_cache(Interval(every=3), tiny(), run, dense=True)


@register("cache/test-broken")
@dataclass(frozen=True, kw_only=True)
class Broken(Cache):
    """Adds something to the output of every forward after the first `quiet` ones since it was mounted."""

    quiet: int = 0

    def mount(self, model):
        seen, report = [], Report()

        def handler(call, args, step):
            seen.append(step)
            out = call(*args)
            return out if len(seen) <= self.quiet else replace(out, pred=out.pred + len(seen))

        return Mounted(handlers={"model": handler}, report=report)


@pytest.mark.parametrize(
    ("quiet", "promise"),
    [(0, "changes the first step"), (len(XS), "carries something from one run to the next"), (99, "reports 0 of 12")],
)
def test_broken_caches_are_found(quiet, promise):
    with pytest.raises(AssertionError, match=promise):
        check_cache(Broken(quiet=quiet), tiny(), run)

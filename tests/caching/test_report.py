from __future__ import annotations

import pytest
from caching_fakes import forward, states, tiny

from frisket.caching.intervals import Interval
from frisket.caching.report import Forward, Report


def test_sums_over_forwards():
    report = Report(macs=30.0, dense_macs=40.0, bytes=8)
    assert Report().share == 1.0
    for computed, reused in ((4, 0), (1, 3)):
        report.forwards.append(
            Forward(run="", index=0, call=0, branch="", computed=computed, reused=reused, forecast=0)
        )
    assert report.as_dict() == {
        "forwards": 2, "full": 1, "computed": 5, "reused": 3, "forecast": 0, "macs": 30.0, "share": 0.75, "bytes": 8,
    }  # fmt: skip


def test_share_and_bytes_are_those_of_the_run():
    model, xs = tiny(), states(4)
    with Interval(every=2).install(model) as report:
        for i, x in enumerate(xs):
            forward(model, x, 1 - i / 4, i, 4)
    assert report.bytes == 3 * 2 * (2 * 4 * 16) * 4  # blocks, branches, (b, n, d), float32
    with Interval(every=4).install(model) as longer:
        for i, x in enumerate(xs):
            forward(model, x, 1 - i / 4, i, 4)
    assert report.dense_macs == longer.dense_macs
    always = report.dense_macs / 4 - (report.dense_macs - report.macs) / report.reused * 6
    assert 0 < always < report.dense_macs / 4
    assert report.full == 3  # first, and s = 2 and 0
    assert longer.share == pytest.approx(report.share - report.reused / 6 * (1 - 4 * always / report.dense_macs) / 4)

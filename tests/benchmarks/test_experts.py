"""The benchmark's arms differ by what is active alone, and its theory is that of the counts."""

from __future__ import annotations

import torch
from benchmarks.experts import ACTIVE, BASE, SHAPE, arms, falls, measure, step_of

from frisket.models.count import macs_of_size, parameters_of_size


def test_arms_have_equal_parameters_and_less_to_compute():
    found = arms(1, 24, 8)
    sparse = [found[f"{k} of 8"] for k in ACTIVE]
    assert len({parameters_of_size(config) for config in sparse}) == 1
    macs = [macs_of_size(config, SHAPE) for config in sparse]
    assert macs == sorted(macs)
    dense = macs_of_size(found["dense, as 2"], SHAPE)
    assert abs(macs[1] - dense) == 24 * 8 * 16  # the router alone


def test_a_step_leaves_no_gradient():
    model = arms(1, 24, 8)["2 of 8"].build()
    step_of(model, 2)()
    assert all(p.grad is None for p in model.parameters())


def test_a_measurement_has_a_row_an_arm():
    rows = measure(arms(1, 24, 8), 1, 1)
    assert [row["arm"] for row in rows] == list(arms())
    assert next(row for row in rows if row["arm"] == BASE)["theoretical"] == 1.0
    assert torch.tensor([row["of_theory"] for row in rows]).gt(0).all()


def test_falling_means_that_fewer_are_faster_throughout():
    def row(k, speed):
        return {"arm": f"{k} of 8", "measured": {"median": speed}}

    assert falls([row(1, 4.0), row(2, 3.0), row(4, 2.0), row(8, 1.0)])
    assert not falls([row(1, 2.9), row(2, 3.0), row(4, 2.0), row(8, 1.0)])

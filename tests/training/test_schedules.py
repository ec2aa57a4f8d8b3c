import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core.errors import FrisketError
from frisket.training.schedules import Constant, Cosine, Stepped, WarmupStableDecay


def test_warm_up_rises_in_equal_steps_and_is_never_zero():
    assert [Constant(warmup=4).factor(s, 100) for s in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert Constant().factor(0, 1) == 1.0


def test_cosine_passes_its_known_points():
    cosine = Cosine(warmup=10, floor=0.1)
    assert cosine.factor(10, 110) == pytest.approx(1.0)
    assert cosine.factor(60, 110) == pytest.approx(0.55)
    assert cosine.factor(35, 110) == pytest.approx(0.1 + 0.9 * (0.5 + 0.5 * math.cos(math.pi / 4)))
    assert cosine.factor(110, 110) == pytest.approx(0.1)


def test_wsd_is_flat_until_its_tail_which_falls_as_one_minus_the_root():
    wsd = WarmupStableDecay(warmup=5, decay=0.2)
    assert [wsd.factor(s, 100) for s in (5, 40, 80)] == [1.0, 1.0, 1.0]
    assert wsd.factor(85, 100) == pytest.approx(1 - math.sqrt(0.25))
    assert wsd.factor(100, 100) == 0.0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 50), st.floats(0, 1), st.floats(0.01, 1), st.integers(1, 200))
def test_factors_stay_in_range_and_never_rise_after_the_warm_up(warmup, floor, decay, steps):
    for schedule in (Constant(warmup=warmup), Cosine(warmup=warmup, floor=floor),
                     WarmupStableDecay(warmup=warmup, decay=decay, floor=floor)):  # fmt: skip
        factors = [schedule.factor(s, steps) for s in range(steps)]
        assert all(0 <= f <= 1 for f in factors)
        after = factors[warmup:]
        assert all(a >= b - 1e-12 for a, b in itertools.pairwise(after))


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [(Constant, "warmup", -1), (Cosine, "floor", 1.5), (WarmupStableDecay, "decay", 0.0), (Cosine, "warmup", -2)],
)
def test_bad_numbers_are_refused_by_name(cls, field, value):
    with pytest.raises(FrisketError, match=f"schedule.{field} = {value}"):
        cls(**{field: value})


def test_stepped_falls_at_its_fractions_of_the_run():
    stepped = Stepped(warmup=2, at=(0.5, 0.75), by=0.1)
    assert [stepped.factor(s, 8) for s in (0, 1, 3)] == [0.5, 1.0, 1.0]
    assert [stepped.factor(s, 8) for s in (4, 5)] == [pytest.approx(0.1)] * 2
    assert [stepped.factor(s, 8) for s in (6, 7)] == [pytest.approx(0.01)] * 2


@pytest.mark.parametrize(("field", "value"), [("warmup", -1), ("at", (1.5,)), ("by", 2.0)])
def test_stepped_refuses_what_is_no_fraction(field, value):
    with pytest.raises(FrisketError, match=f"schedule.{field}"):
        Stepped(**{field: value})

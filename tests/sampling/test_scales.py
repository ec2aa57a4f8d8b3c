import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import FrisketError, from_config, to_config
from frisket.sampling.scales import Constant, Interval, Linear, PowerCosine

T = torch.linspace(0, 1, 11, dtype=torch.float64)


def test_power_cosine_values():
    scale = PowerCosine(value=3.8, power=4.0)
    assert float(scale.at(T)[-1]) == pytest.approx(1.0)
    assert float(scale.at(T)[0]) == pytest.approx(3.8)
    assert float(scale.at(T)[5]) == pytest.approx(1 + 2.8 * 0.5 * (1 - math.cos(math.pi * 0.5**4)))


@given(st.floats(1.0, 10.0), st.floats(0.1, 8.0))
def test_power_cosine_rises_towards_the_data(value, power):
    scale = PowerCosine(value=value, power=power).at(T)
    assert bool((scale.diff() <= 1e-12).all())


def test_linear_and_constant():
    torch.testing.assert_close(Linear(first=1.0, last=3.0).at(T), 3 - 2 * T)
    assert Constant(value=2.0).at(T).tolist() == [2.0] * 11


def test_interval_is_open_below_and_closed_above():
    scale = Interval(inside=Constant(value=4.0), low=0.2, high=0.5).at(torch.tensor([0.2, 0.3, 0.5, 0.6]))
    assert scale.tolist() == [1.0, 4.0, 4.0, 1.0]


def test_config_round_trip():
    scale = Interval(inside=PowerCosine(), low=0.1)
    assert from_config(to_config(scale)) == scale


@pytest.mark.parametrize("make", [lambda: Interval(low=0.5, high=0.5), lambda: PowerCosine(power=0.0)])
def test_ranges(make):
    with pytest.raises(FrisketError):
        make()

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frisket.caching.forecasts import Polynomial, Taylor
from frisket.core import FrisketError
from frisket.testing import check_config

NODES = st.lists(st.integers(0, 60), min_size=1, max_size=4, unique=True).map(sorted)


def value(forecast, at, index, f):
    return sum(w * f(i) for w, i in zip(forecast.weights(at, index), at, strict=True))


@pytest.mark.parametrize("forecast", [Taylor(order=0), Taylor(order=3), Polynomial(order=3)])
@given(at=NODES, ahead=st.integers(1, 9))
def test_weights_sum_to_one_and_a_single_result_is_reused(forecast, at, ahead):
    assert sum(forecast.weights(at, at[-1] + ahead)) == pytest.approx(1.0, abs=1e-6)
    assert forecast.weights(at[:1], at[0] + ahead) == [1.0]


@given(at=NODES, ahead=st.integers(1, 9), slope=st.floats(-3, 3))
def test_lines_are_continued_exactly_whatever_the_distances(at, ahead, slope):
    if len(at) < 2:
        return
    index = at[-1] + ahead
    for forecast in (Taylor(order=1), Polynomial(order=1)):
        assert value(forecast, at[-2:], index, lambda i: 2 + slope * i) == pytest.approx(2 + slope * index, abs=1e-6)


@given(at=NODES, ahead=st.integers(1, 9))
def test_polynomials_are_continued_up_to_their_degree(at, ahead):
    degree, index = len(at) - 1, at[-1] + ahead
    found = value(Polynomial(order=degree), at, index, lambda i: float(i**degree))
    assert found == pytest.approx(float(index**degree), rel=1e-6, abs=1e-6)


def test_taylor_of_order_two_is_the_papers_on_even_steps():
    n, x = 4, 3
    f = (1.0, 5.0, 2.0)  # of steps 0, 4, 8
    first, second = (f[2] - f[1]) / n, ((f[2] - f[1]) - (f[1] - f[0])) / n**2
    wanted = f[2] + first * x + second * x**2 / 2
    weights = Taylor(order=2).weights((0, n, 2 * n), 2 * n + x)
    assert sum(w * v for w, v in zip(weights, f, strict=True)) == pytest.approx(wanted)


def test_orders_are_checked():
    check_config(Taylor(order=2))
    check_config(Polynomial())
    assert (Taylor(order=2).nodes, Polynomial(order=0).nodes) == (3, 1)
    for part in (Taylor, Polynomial):
        with pytest.raises(FrisketError, match=r"forecast\.order = -1"):
            part(order=-1)

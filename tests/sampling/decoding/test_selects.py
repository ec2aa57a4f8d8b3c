import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_fakes import steps

from frisket.core import FrisketError
from frisket.processes.schedules import Cosine
from frisket.sampling.decoding.orders import Proposed
from frisket.sampling.decoding.selects import (
    ArccosCurve,
    Bernoulli,
    Budget,
    CosineCurve,
    Hidden,
    PowerCurve,
    Threshold,
    top,
)


def standing(now, first, share_t, share_s, s=0.5, rate=0.0):
    b = len(now)
    full = torch.full((b,), 1.0, dtype=torch.float64)
    return Hidden(
        now=now, first=torch.as_tensor(first, dtype=torch.float64), share_t=share_t * full, share_s=share_s * full,
        rate=rate * full, s=s * full, step=steps(b),
    )  # fmt: skip


def sure(confidence):
    """A proposal of id 0 of two, with these probabilities (r, n)."""
    p = torch.tensor(confidence, dtype=torch.float64)
    return Proposed(
        log_p=torch.stack([p, 1 - p], dim=-1).log(), ids=torch.zeros(p.shape, dtype=torch.int64),
        hidden=torch.ones(p.shape, dtype=torch.bool), s=torch.full((len(p),), 0.5), step=steps(len(p)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n", "total", "counts"),
    [
        (256, 8, [5, 15, 24, 31, 39, 45, 48, 49]),
        (256, 12, [3, 6, 11, 15, 18, 22, 26, 27, 31, 31, 33, 33]),
        (64, 8, [2, 3, 6, 8, 10, 11, 12, 12]),
    ],
)
@pytest.mark.parametrize("curve", [None, CosineCurve()])
def test_published_counts_of_the_cosine_schedule(n, total, counts, curve):
    now, made = torch.ones(1, n, dtype=torch.bool), []
    for i in range(total):
        s = 1 - (i + 1) / total
        share = float(Cosine().hidden(torch.tensor(s, dtype=torch.float64)))
        here = standing(now, [n], 1.0, share, s=s)
        chosen = Budget(curve=curve).choose(here, torch.zeros(1, n).masked_fill(~now, -torch.inf), sure([[1.0] * n]))
        made.append(int(chosen.sum()))
        now = now & ~chosen
    assert made == counts


def test_each_row_has_its_own_budget():
    now = torch.ones(2, 8, dtype=torch.bool)
    now[1, 2:] = False
    here = standing(now, [8, 2], 1.0, 0.5)
    chosen = Budget().choose(here, torch.zeros(2, 8).masked_fill(~now, -torch.inf), sure([[1.0] * 8] * 2))
    assert chosen.sum(1).tolist() == [4, 1]
    assert bool((chosen <= now).all())


def test_a_row_ahead_of_its_budget_waits():
    now = torch.tensor([[True, False, False, False]])
    assert Budget().active(standing(now, [4], 1.0, 0.5)).tolist() == [False]


@given(n=st.integers(1, 30), total=st.integers(1, 40))
def test_the_released_budget_reveals_one_a_move_and_keeps_one_for_the_last(n, total):
    select, now = Budget(curve=CosineCurve(), least=1, kept=1), torch.ones(1, n, dtype=torch.bool)
    for i in range(total - 1):
        here = standing(now, [n], 1.0, 0.0, s=1 - (i + 1) / total)
        scores = torch.zeros(1, n).masked_fill(~now, -torch.inf)
        before, chosen = int(now.sum()), select.choose(here, scores, sure([[0.5] * n]))
        stay = max(1, min(before - 1, math.floor(n * math.cos(math.pi / 2 * (i + 1) / total) + 1e-9)))
        now = now & ~chosen
        assert int(now.sum()) == stay
        assert bool(select.active(here)) == bool(chosen.any())


def test_power_curve():
    assert PowerCurve().share(torch.tensor([0.25])).tolist() == [0.25]
    assert PowerCurve(power=2.0).share(torch.tensor([0.5])).tolist() == [0.75]


def test_threshold():
    now = torch.tensor([[True, True, True, False]])
    scores = torch.tensor([[0.1, 0.3, 0.2, -torch.inf]])
    chosen = Threshold(threshold=0.9).choose(standing(now, [4], 1, 0.5), scores, sure([[0.95, 0.5, 0.9, 1.0]]))
    assert chosen.tolist() == [[True, True, True, False]]
    chosen = Threshold(threshold=0.9).choose(standing(now, [4], 1, 0.5), scores, sure([[0.1, 0.5, 0.2, 1.0]]))
    assert chosen.tolist() == [[False, True, False, False]]


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_bernoulli_has_the_chance_of_the_exact_step(rate):
    now = torch.ones(1, 50_000, dtype=torch.bool)
    here = standing(now, [1], 0.8, 0.6, rate=rate)
    chosen = Bernoulli().choose(here, torch.zeros(1, 50_000), sure([[0.5]]))
    assert float(chosen.double().mean()) == pytest.approx((0.4 - (1 - rate) * 0.2) / 0.8, abs=0.01)
    assert torch.equal(Bernoulli().active(here), chosen.any(1))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.integers(0, 14))
def test_top(values, count):
    chosen = top(torch.tensor([values]), torch.tensor([count]))[0]
    assert int(chosen.sum()) == min(count, len(values))
    inside = [v for v, c in zip(values, chosen.tolist(), strict=True) if c]
    outside = [v for v, c in zip(values, chosen.tolist(), strict=True) if not c]
    assert not inside or not outside or min(inside) >= max(outside) - 1e-6


def test_equals_go_to_the_first():
    assert top(torch.zeros(1, 4), torch.tensor([2])).tolist() == [[True, True, False, False]]


def test_ranges():
    for make in (
        lambda: Threshold(threshold=1.5),
        lambda: Threshold(least=0),
        lambda: Budget(least=-1),
        lambda: Budget(kept=-1),
        lambda: PowerCurve(power=0.0),
    ):
        with pytest.raises(FrisketError):
            make()


def test_the_arccos_curve_keeps_much_for_the_end():
    s = torch.linspace(0, 1, 11, dtype=torch.float64)
    share = ArccosCurve().share(s)
    assert float(share[0]) == 0.0
    assert float(share[-1]) == pytest.approx(1.0)
    assert bool((share.diff() > 0).all())
    assert float(share[1]) > 0.28, "the last tenth of the moves reveals more than a quarter"

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_fakes import Joint, steps

from frisket.core import FrisketError
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear
from frisket.sampling.decoding.adaptive import EntropyBound, Spaced, spaced
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.orders import Entropy, Proposed
from frisket.sampling.decoding.selects import Budget, Hidden, Threshold
from frisket.sampling.sampler import Sampler


def standing(now):
    half = torch.full((len(now),), 0.5, dtype=torch.float64)
    return Hidden(now=now, first=now.sum(1).double(), share_t=2 * half, share_s=half, rate=0 * half, s=half,
                  step=steps(len(now)))  # fmt: skip


def proposed(p):
    """Two ids a place, the first with probability p (r, n)."""
    p = torch.as_tensor(p, dtype=torch.float64)
    return Proposed(log_p=torch.stack([p, 1 - p], -1).log(), ids=torch.zeros(p.shape, dtype=torch.int64),
                    hidden=torch.ones(p.shape, dtype=torch.bool), s=torch.full((len(p),), 0.5), step=steps(len(p)))  # fmt: skip


def chosen(gamma, p):
    seen = proposed([p])
    now = torch.ones(1, len(p), dtype=torch.bool)
    return EntropyBound(gamma=gamma).choose(standing(now), Entropy().score(seen), seen)[0].tolist()


def test_the_entropy_budget_counts_all_but_the_largest():
    p = [0.5, 0.99, 0.5, 0.99]  # 1, 0.08, 1, 0.08 bits
    assert chosen(0.0, p) == [False, True, False, False]
    assert chosen(0.1, p) == [False, True, False, True]
    assert chosen(0.2, p) == [True, True, False, True]
    assert chosen(1.2, p) == [True, True, True, True]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(0, 5), st.integers(0, 1000))
def test_what_is_taken_is_apart_and_what_waits_is_near_a_better_one(n, gap, seed):
    step = steps(3, seed=seed)
    scores, some = step.draw("scores", (n,)), step.draw("some", (n,), "uniform") < 0.7
    taken = spaced(some, scores, torch.full((3,), gap))
    assert bool((taken <= some).all())
    for row in range(3):
        places = taken[row].nonzero()[:, 0].tolist()
        assert all(abs(a - b) >= gap for a, b in itertools.combinations(places, 2))
        for waits in (some & ~taken)[row].nonzero()[:, 0].tolist():
            assert any(abs(waits - a) < gap and scores[row, a] >= scores[row, waits] for a in places)


def test_a_gap_of_one_changes_nothing():
    some = torch.tensor([[True, False, True, True]])
    assert torch.equal(
        spaced(some, torch.randn(1, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([1])), some
    )
    select = Spaced(of=Threshold(threshold=0.0), start=0.0, least=1)
    now = torch.ones(1, 4, dtype=torch.bool)
    assert bool(select.choose(standing(now), torch.zeros(1, 4), proposed([[0.9] * 4])).all())


def test_the_gap_narrows_as_the_block_fills():
    select = Spaced(of=Threshold(threshold=0.0), block=16, start=8.0, least=1)
    scores = -torch.arange(16.0)[None]
    full = torch.ones(1, 16, dtype=torch.bool)
    assert select.choose(standing(full), scores, proposed([[0.9] * 16]))[0].nonzero()[:, 0].tolist() == [0, 8]
    half = full.clone()
    half[0, 1::2] = False
    made = select.choose(standing(half), scores.masked_fill(~half, -torch.inf), proposed([[0.9] * 16]))
    assert made[0].nonzero()[:, 0].tolist() == [0, 4, 8, 12]


@pytest.mark.parametrize("select", [EntropyBound(gamma=0.5), Spaced(of=Threshold(threshold=0.3), block=4, start=2.0)])
def test_every_move_reveals_something_and_in_the_end_all(select):
    process = Masked(vocabulary=3, schedule=Linear())
    update = Ordered(orders=(Entropy(),), select=select)
    run = list(Sampler(steps=4, update=update).run(Joint(process, n=4), process, shape=(4,), step=steps(50)))
    left = [(s.x == 3).sum(1) for s in run]
    assert all(bool(((b < a) | (a == 0)).all()) for a, b in itertools.pairwise(left))
    assert int(left[-1].sum()) == 0


def test_what_it_wraps_decides_when_it_is_active():
    now = torch.tensor([[True, False, False, False]])
    ahead = Hidden(now=now, first=torch.tensor([4.0]), share_t=torch.ones(1), share_s=torch.full((1,), 0.5),
                   rate=torch.zeros(1), s=torch.full((1,), 0.5), step=steps(1))  # fmt: skip
    assert Spaced(of=Budget()).active(ahead).tolist() == [False]
    assert Spaced(of=Budget()).reconsiders is True


def test_ranges():
    for make in (lambda: EntropyBound(gamma=-1.0), lambda: Spaced(block=0), lambda: Spaced(least=0),
                 lambda: Spaced(start=-1.0)):  # fmt: skip
        with pytest.raises(FrisketError):
            make()

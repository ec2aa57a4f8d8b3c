import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_fakes import Joint, steps

from frisket.core import FrisketError, Output, from_config, to_config
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear
from frisket.sampling.base import Start
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.dilated import Binary, Dilated, DilatedSizes, Tied, binary_levels, dilated_levels
from frisket.sampling.decoding.orders import Random, Raster
from frisket.sampling.sampler import Sampler

PROCESS = Masked(vocabulary=3, schedule=Linear())


def flat(x, t, cond=None):
    return Output(torch.zeros(*x.shape, 3))


def shots(update, n, moves, rows=2):
    return list(Sampler(steps=moves, update=update).run(flat, PROCESS, shape=(n,), step=steps(rows)))


def revealed(run):
    """The places of the first row that each move reveals."""
    pairs = itertools.pairwise(run)
    return [tuple(((a.x[0] == 3) & (b.x[0] < 3)).nonzero()[:, 0].tolist()) for a, b in pairs]


def test_published_levels():
    assert dilated_levels(8) == ((0, 4), (2, 6), (1, 3, 5, 7))
    assert [len(level) for level in dilated_levels(32)] == [2, 2, 4, 8, 16]
    assert [len(level) for level in dilated_levels(24)] == [2, 2, 4, 16]
    assert binary_levels(7) == ((3,), (1, 5), (0, 2, 4, 6))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 200), st.integers(1, 5), st.integers(1, 3))
def test_levels_share_out_the_block(length, base, skip):
    for levels in (dilated_levels(length, base, skip), binary_levels(length)):
        assert sorted(place for level in levels for place in level) == list(range(length))
        assert all(levels)
        assert len(levels) < 2 or len(levels[-1]) >= len(levels[-2])  # a small last level has joined the one before


@pytest.mark.parametrize("length", [2, 8, 32, 128])
def test_powers_of_two_take_log2_levels_far_apart(length):
    levels = dilated_levels(length)
    assert len(levels) == math.log2(length)
    for k, level in enumerate(levels):
        stride = length // 2 ** (k + 1)
        gaps = {b - a for a, b in itertools.pairwise(level)}
        assert gaps <= {stride if k == 0 else 2 * stride}


def test_ends_of_the_family():
    assert dilated_levels(9, base=1) == (tuple(range(9)),)
    assert [len(level) for level in Dilated(block=1).levels(5)] == [1] * 5
    assert Dilated(block=4).levels(6) == ((0, 2), (1, 3), (4, 5))
    assert 32 / len(dilated_levels(32)) == pytest.approx(6.4)


@pytest.mark.parametrize("order", [Dilated(block=8), Binary(block=8), Dilated(block=8, base=3)])
def test_decoding_follows_the_plan_to_the_forward(order):
    levels = order.levels(16)
    run = shots(Ordered(orders=(order,), select=Tied()), 16, len(levels))
    assert revealed(run) == [tuple(sorted(level)) for level in levels]
    assert run[-1].forwards == 2 * len(levels)


def test_more_moves_than_levels_make_no_more_forwards():
    run = shots(Ordered(orders=(Dilated(block=16),), select=Tied()), 16, 9)
    assert run[-1].forwards == 2 * 4
    assert bool((run[-1].x < 3).all())


def test_the_plan_leaves_out_what_is_known():
    x = torch.full((1, 8), 3)
    x[0, [0, 4, 1]] = 0
    update = Ordered(orders=(Dilated(block=8),), select=Tied())
    run = list(Sampler(steps=3, update=update).run(flat, PROCESS, shape=(8,), step=steps(1), start=Start(x=x, t=1.0)))
    assert revealed(run) == [(2, 6), (3, 5, 7), ()]
    assert run[-1].forwards == 2


def test_sizes_of_the_plan_with_other_places():
    plan = Dilated(block=8)
    same = Ordered(orders=(plan,), select=DilatedSizes(plan=plan))
    assert revealed(shots(same, 16, 6)) == [tuple(sorted(level)) for level in plan.levels(16)]
    other = Ordered(orders=(Raster(block=8), Random()), select=DilatedSizes(plan=plan))
    made = revealed(shots(other, 16, 6))
    assert [len(places) for places in made] == [2, 2, 4, 2, 2, 4]
    assert sorted(place for places in made[:3] for place in places) == list(range(8))  # blocks from left to right


def test_equals_of_any_order_go_together():
    run = shots(Ordered(orders=(Raster(block=3),), select=Tied()), 7, 3)
    assert revealed(run) == [(0, 1, 2), (3, 4, 5), (6,)]


def test_one_place_a_level_draws_from_the_joint():
    joint = Joint(PROCESS)
    n = 6000
    update = Ordered(orders=(Dilated(block=1),), select=Tied())
    x = Sampler(steps=3, update=update).sample(joint, PROCESS, shape=(3,), step=steps(n))
    counts = torch.bincount(joint.index(x), minlength=27) / n
    torch.testing.assert_close(counts.double(), joint.p, rtol=0, atol=0.025)


def test_refusals_and_configs():
    for make in (lambda: Dilated(block=0), lambda: Dilated(base=0), lambda: Dilated(skip=0), lambda: Binary(block=0),
                 lambda: dilated_levels(0), lambda: binary_levels(0)):  # fmt: skip
        with pytest.raises(FrisketError):
            make()
    update = Ordered(orders=(Raster(block=8), Random()), select=DilatedSizes(plan=Dilated(block=8)))
    assert from_config(to_config(update)) == update

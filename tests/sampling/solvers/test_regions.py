"""Tokens with rates of their own."""

from __future__ import annotations

import pytest
import torch

from frisket.caching.kept_keys import KeptKeys
from frisket.core import FrisketError, Step, current_step, from_config, to_config
from frisket.core.condition import Condition, Output
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.regions import Regions
from frisket.sampling.solvers.waits import Random
from frisket.testing import check_update
from frisket.testing.backbones import stir

STEP = Step(seed=0, sample=torch.arange(3))
SPARSE = Regions(start=2, resets=(5,), end=7)


@pytest.fixture(scope="module")
def model():
    door = Door(embedder=ClassIds(classes=4))
    ends = {"input": Patches(channels=3), "output": PatchesOut(channels=3)}
    model = Transformer(width=32, heads=4, blocks=repeat(Block(), 3), doors=(door,), **ends).build()
    stir(model, 0.1)
    return model.eval()


def run(model, **sampler):
    cond = Condition.of(label=torch.arange(3))
    return list(Sampler(steps=8, **sampler).run(model, Gaussian(), shape=(3, 8, 8), step=STEP, cond=cond))


def test_it_is_a_solver_and_a_value():
    check_update(Regions(start=2, resets=()), steps=8)
    assert from_config(to_config(SPARSE)) == SPARSE


def test_a_share_of_one_is_euler_bit_for_bit(model):
    dense = run(model, guidance=cfg(2.0))
    all_of_them = run(model, guidance=cfg(2.0), update=Regions(share=1.0), caches=(KeptKeys(),))
    assert torch.equal(dense[-1].x, all_of_them[-1].x)


def test_the_schedule_is_what_is_computed(model):
    end = run(model, update=SPARSE, caches=(KeptKeys(),))[-1]
    assert SPARSE.counts(8, 16) == [0, 0, 8, 8, 8, 0, 8, 0]
    assert [forward.full for forward in end.reports[0].forwards] == [True, True, False, False, False, True, False, True]


class Moving:
    """A velocity that is a new constant at every step, so that age is visible."""

    def __init__(self):
        self.kept = []

    def __call__(self, x, t, cond=None, keep=None):
        self.kept.append(None if keep is None else keep["blocks[:]"])
        return Output(torch.full_like(x, 2.0 ** current_step().index))


def test_those_that_wait_move_by_the_velocity_they_last_had():
    network = Moving()
    states = [s.x for s in run(network, update=Regions(start=2, resets=(5,), end=7, waits=Random()))]
    age = torch.zeros(3, 4, 4)
    for k, keep in enumerate(network.kept):
        computed = torch.ones(3, 16) if keep is None else torch.zeros(3, 16).scatter(1, keep, 1.0)
        age = torch.where(computed.reshape(3, 4, 4) > 0, float(k), age)
        moved = (states[k] - states[k + 1]).mean(1) * 8
        wanted = (2.0**age).repeat_interleave(2, 1).repeat_interleave(2, 2)
        torch.testing.assert_close(moved, wanted, rtol=1e-4, atol=1e-4)


def test_all_branches_share_one_choice(model):
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, x, t, cond=None, keep=None):
            seen.append(keep)
            return model(x, t, cond, keep)

    run(Spy(), guidance=cfg(2.0), update=SPARSE)
    sparse = [keep["blocks[:]"] for keep in seen if keep is not None]
    assert len(sparse) == 4
    assert all(torch.equal(ids[:3], ids[3:]) for ids in sparse)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"start": 0}, {"grain": 0}])
def test_numbers_outside_their_range_are_refused(wrong):
    with pytest.raises(FrisketError, match="solver"):
        Regions(**wrong)


def test_growth_that_leaves_nobody_is_refused():
    with pytest.raises(FrisketError, match="growth"):
        Regions(growth=640, every=2).counts(20, 1024)

"""Rankings: each finds what was planted for it; all round-trip; scores fit what they rank."""

from __future__ import annotations

import pytest
import torch
from small_models import of_depth, pipeline

from frisket.compression.calibration import Calibration, mean_loss
from frisket.compression.gates import fixed_units, skip_blocks
from frisket.compression.importance import (
    Bench,
    Exhaustive,
    Influence,
    Interval,
    Magnitude,
    Random,
    Sensitivity,
    Taylor,
)
from frisket.compression.width import units_of
from frisket.core import FrisketError, from_config, to_config
from frisket.data.digits import Digits

FEW = Calibration(items=12, batch=12)
BLOCKS = [Random(), Interval(), Magnitude(), Sensitivity(calibration=FEW), Exhaustive(calibration=FEW),
          Influence(calibration=FEW), Taylor(calibration=FEW)]  # fmt: skip


def bench(seed=1, silent=None):
    """A bench; block `silent` has its gates near zero, so that it changes little."""
    pipe = pipeline(seed)
    if silent is not None:
        with torch.no_grad():
            for p in pipe.model.blocks[silent].parameters():
                p.mul_(0.01)
    return Bench(pipeline=pipe, data=Digits(), seed=seed)


@pytest.mark.parametrize("ranking", BLOCKS, ids=lambda r: r.part_name)
def test_every_ranking_scores_every_block_and_comes_back(ranking):
    scores = ranking.blocks(bench(), 2)
    assert scores.shape == (4,)
    assert scores.isfinite().all()
    assert torch.equal(scores, ranking.blocks(bench(), 2))
    assert from_config(to_config(ranking)) == ranking


@pytest.mark.parametrize("ranking", [r for r in BLOCKS if not isinstance(r, Random | Interval)], ids=lambda r: r.part_name)
@pytest.mark.parametrize("silent", [0, 2])
def test_a_block_that_does_nothing_scores_lowest(ranking, silent):
    assert int(ranking.blocks(bench(silent=silent), 1).argmin()) == silent


@pytest.mark.parametrize(
    ("depth", "remove", "gone"), [(6, 3, [1, 3, 5]), (6, 2, [2, 5]), (4, 1, [3]), (28, 14, list(range(1, 28, 2)))]
)
def test_the_interval_is_even(depth, remove, gone):
    pipe = pipeline(config=of_depth(depth)) if depth < 10 else pipeline(config=of_depth(28))
    scores = Interval().blocks(Bench(pipeline=pipe, data=Digits()), remove)
    assert scores.argsort(stable=True)[:remove].sort().values.tolist() == gone


def test_chance_depends_on_the_seed_alone():
    first, second = Random().blocks(bench(1), 2), Random().blocks(bench(2), 2)
    assert not torch.equal(first, second)
    assert torch.equal(first, Random().blocks(bench(1), 3))


def test_sensitivity_is_the_loss_without_the_block():
    b = bench()
    passes = b.passes(FEW)
    scores = Sensitivity(calibration=FEW).blocks(b, 1)
    for i in range(4):
        assert float(scores[i]) == pytest.approx(float(b.loss(passes, skip_blocks([i]))), rel=1e-5)


def test_exhaustive_finds_the_lowest_loss_of_all_pairs():
    from itertools import combinations

    b = bench()
    passes = b.passes(FEW)
    losses = {gone: float(b.loss(passes, skip_blocks(gone))) for gone in combinations(range(4), 2)}
    chosen = Exhaustive(calibration=FEW).blocks(b, 2).argsort(stable=True)[:2].sort().values
    assert tuple(chosen.tolist()) == min(losses, key=lambda g: losses[g])
    with pytest.raises(FrisketError, match="ranking/sensitivity"):
        Exhaustive(calibration=FEW).blocks(Bench(pipeline=pipeline(config=of_depth(24)), data=Digits()), 12)


@pytest.mark.parametrize("ranking", [Random(), Magnitude(), Taylor(calibration=FEW)], ids=lambda r: r.part_name)
def test_units_are_scored_site_by_site(ranking):
    b = bench()
    scores = ranking.units(b)
    assert {site: len(value) for site, value in scores.items()} == units_of(b.model)
    assert all((value >= 0).all() for value in scores.values())


def test_magnitude_and_taylor_find_a_dead_unit():
    b = bench()
    with torch.no_grad():
        b.model.blocks[1].branches["ffn"].mixer.down.weight[:, 7] = 0.0
        b.model.blocks[1].branches["ffn"].mixer.up.weight[7] = 0.0
        b.model.blocks[1].branches["ffn"].mixer.up.bias[7] = 0.0
    for ranking in (Magnitude(), Taylor(calibration=FEW)):
        scores = ranking.units(b)["block[1].ffn.hidden"]
        assert int(scores.argmin()) == 7
        assert float(scores[7]) == pytest.approx(0.0, abs=1e-7)


def test_taylor_is_the_slope_of_the_loss():
    b, site = bench(), "block[2].attn.attend"
    (one,) = b.passes(FEW)
    slopes = Taylor(calibration=FEW).units(b)[site]
    for head in range(2):
        gates = [torch.ones(4), torch.ones(4)]
        gates[0][head] += 1e-2
        gates[1][head] -= 1e-2
        up, down = (float(mean_loss(b.model, b.pipeline.process, [one], fixed_units({site: g}))) for g in gates)
        assert float(slopes[head]) == pytest.approx(abs(up - down) / 2e-2, rel=0.05, abs=1e-4)

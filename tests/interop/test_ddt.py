"""Parity with the official forward, with and without a kept encoding, and the counts of its sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import Condition, FrisketError, Step, install, use_step
from frisket.interop.ddt import PROCESS, SIZES, ddt_of_size, ddt_pipeline, ddt_sampler, turned_pairs
from frisket.interop.golden import forward_difference
from frisket.interop.official import load_official
from frisket.models.count import parameters_of_size
from frisket.models.encoders import given
from frisket.models.layers.positions import rotary_angles
from frisket.processes.gaussian import Gaussian

GOLDEN = Path(__file__).parent.parent / "golden" / "ddt_forward.npz"
FACTS = {"num_heads": 2, "encoder_blocks": 2, "input_size": 8}


@pytest.fixture(scope="module")
def held():
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


@pytest.fixture(scope="module")
def weights(held):
    return {k[2:]: v for k, v in held.items() if k.startswith("w/")}


def test_the_forward_is_the_official_one_on_a_grid_that_is_not_square():
    assert forward_difference("ddt", **FACTS) < 1e-5


def test_the_state_and_a_step_that_reuses_it_are_the_official_ones(held, weights):
    model, seen = load_official("ddt", weights, **FACTS), []

    def keep(make, args, step):
        seen.append(make(*args))
        return seen[0]

    cond = Condition.of(label=held["in/y"])
    with torch.no_grad(), use_step(Step(seed=0, sample=torch.arange(3))):
        with install(model, {"encoder": keep}):
            model(held["in/x"], held["in/t"], cond)
        with install(model, {"encoder": given(seen[0])}):
            reused = model(held["later_x"], held["later_t"], cond).pred
        fresh = model(held["later_x"], held["later_t"], cond).pred
    torch.testing.assert_close(seen[0], held["state"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(reused, held["reused"], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(reused, fresh)


def test_turned_pairs_hold_every_feature_once():
    order = turned_pairs(8)
    assert order.tolist() == [2, 3, 6, 7, 0, 1, 4, 5]
    assert rotary_angles(torch.tensor([[0.0, 1.0]]), 8, 1e4)[0].tolist() == pytest.approx([0, 0, 1, 0.01])
    with pytest.raises(FrisketError, match="head"):
        turned_pairs(6)


@pytest.mark.parametrize(("size", "count"), [("B", 130_262_800), ("L", 457_648_144), ("XL", 674_646_352)])
def test_the_published_sizes_have_the_official_counts(size, count):
    assert parameters_of_size(ddt_of_size(size)) == count
    assert len(ddt_of_size(size).encoder.blocks) == SIZES[size][3]


def test_process_and_sampler_are_the_released_ones(weights):
    x0, noise = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 3.0)
    t = torch.tensor([0.25], dtype=torch.float64)
    assert torch.equal(PROCESS.corrupt(x0, t, noise).x_t, 0.75 * x0 + 0.25 * noise)
    assert float(PROCESS.model_time(t)) == 0.75
    assert float(PROCESS.times(torch.tensor([0.5], dtype=torch.float64))) == pytest.approx(0.5)
    sampler = ddt_sampler()
    times = sampler.grid.times(250, Gaussian())
    assert len(times) == 251
    assert times[-2:].tolist() == pytest.approx([0.04, 0.0])
    scale = sampler.guidance.scales[0]
    assert scale.at(torch.tensor([0.9, 0.71, 0.69, 0.04])).tolist() == [1, 1, 2, 2]
    assert ddt_pipeline(load_official("ddt", weights, **FACTS)).process == PROCESS


def test_what_the_weights_do_not_tell_is_asked_for(weights):
    with pytest.raises(FrisketError, match="give num_heads and encoder_blocks"):
        load_official("ddt", weights, input_size=8)
    with pytest.raises(FrisketError, match="encoder_blocks"):
        load_official("ddt", weights, **{**FACTS, "encoder_blocks": 3})
    with pytest.raises(FrisketError, match="patch"):
        load_official("ddt", weights, **FACTS, patch=5)

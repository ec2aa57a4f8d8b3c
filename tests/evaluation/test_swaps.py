"""Swaps: what is outside the region is exactly as given, errors count inside it alone, floors are what they say."""

import math

import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.data.digits import Digits
from frisket.data.figures.source import Figures
from frisket.evaluation.swaps import average, conditions, filled, forwards, pasted, psnr, region_error, swapping
from frisket.experiments.system import build
from frisket.recipes import mc_vton

SOURCE = Figures().open("test")
BATCH = SOURCE.batch(torch.arange(3))


@pytest.fixture(scope="module")
def pipeline():
    from dataclasses import replace

    first = replace(mc_vton.base("tiny"), name="t").fit()
    _, made, _ = build(first)
    for preparation in mc_vton.adapted("tiny").prepare:
        preparation.apply(made, first.data, {}, 0)
    made.sampler = replace(made.sampler, steps=2)
    return made


def test_the_outside_is_as_given_bit_for_bit(pipeline):
    made = filled(pipeline, BATCH)
    assert torch.equal(made.masked_fill(BATCH["region"], 0), BATCH["x"].masked_fill(BATCH["region"], 0))
    assert not torch.equal(made, BATCH["x"])


def test_both_references_are_given_and_no_class(pipeline):
    given = conditions(pipeline, BATCH)
    assert list(given) == ["label", "person", "garment"]
    assert given["label"] is None
    assert given["garment"] is BATCH["garment"]
    assert forwards(pipeline, BATCH) == 2


def test_an_error_counts_inside_the_region_only():
    region, x = BATCH["region"], BATCH["x"]
    assert torch.allclose(region_error(x + 0.1 * region, x, region), torch.full((3,), 0.01), atol=1e-6)
    assert region_error(x + 0.1 * ~region, x, region).tolist() == [0, 0, 0]
    assert psnr(torch.tensor([0.01, 0.0001])) == pytest.approx(30.0)
    assert math.isfinite(psnr(torch.zeros(2)))


def test_floors_keep_the_outside_too():
    for floor in (pasted(BATCH), average(SOURCE, BATCH)):
        assert torch.equal(floor.masked_fill(BATCH["region"], 0), BATCH["x"].masked_fill(BATCH["region"], 0))
    assert torch.equal(pasted(BATCH) * BATCH["region"], BATCH["garment"] * BATCH["region"])


def test_a_set_without_swaps_is_refused():
    with pytest.raises(FrisketError, match="knows no swaps"):
        swapping(Digits())

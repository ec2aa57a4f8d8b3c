"""Parity with the official MaskBit generator, its counts of hidden groups, and published sizes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import Condition, FrisketError
from frisket.core.condition import Output
from frisket.core.step import Step
from frisket.interop.golden import forward_difference, golden
from frisket.interop.maskbit import maskbit
from frisket.interop.official import load_official
from frisket.models.count import parameters_of_size
from frisket.processes.masked import Masked
from frisket.recipes.maskbit import PROCESS, decoder, sampler
from frisket.sampling.sampler import Sampler

GOLDEN = Path(__file__).parent.parent / "golden" / "maskbit_forward.npz"


def test_outputs_are_the_official_ones():
    assert forward_difference("maskbit", num_heads=2) < 1e-5


def test_hidden_bits_are_read_by_nothing():
    weights, inputs, _ = golden("maskbit")
    model = load_official("maskbit", weights, num_heads=2)
    x, cond = inputs["x"].clone(), Condition.of(label=inputs["y"])
    with torch.no_grad():
        hidden = model(torch.full_like(x, 8), None, cond).pred
        one = x.clone()
        one[..., 1] = 8
        assert torch.isfinite(hidden).all()
        assert not torch.allclose(model(one, None, cond).pred, hidden), "a shown group is read"
        flipped = one.clone()
        flipped[0, 0, 0, 0] ^= 1
        if int(one[0, 0, 0, 0]) < 8:
            assert not torch.allclose(model(flipped, None, cond).pred, model(one, None, cond).pred)


def test_moves_hide_as_many_groups_as_the_official_ones():
    with np.load(GOLDEN, allow_pickle=False) as file:
        wanted = file["hidden"].tolist()
    process = Masked(vocabulary=128, schedule=PROCESS.schedule)
    run = Sampler(steps=64, update=decoder()).run(
        lambda x, t, cond: Output(torch.zeros(*x.shape, 128)), process, shape=(16, 16, 2),
        step=Step(seed=0, sample=torch.arange(2)),
    )  # fmt: skip
    left = [int((s.x == 128)[1].sum()) for s in run]
    assert left == [*wanted, 0]
    assert [a - b for a, b in itertools.pairwise(left)][:3] == [6, 5, 5]


def test_the_scale_is_the_published_one():
    scale = sampler(64, 7.1, power=3.0).guidance.scales[0]
    i = torch.tensor([0.0, 32.0, 64.0], dtype=torch.float64)
    s = 7.1 * (1 - torch.cos(torch.pi * (i / 64) ** 3)) / 2
    torch.testing.assert_close(scale.at(1 - i / 64), 1 + s)


@pytest.mark.parametrize("bits", [12, 14])
def test_published_sizes(bits):
    assert parameters_of_size(maskbit(bits=bits)) / 1e6 == pytest.approx(305, rel=0.001)


def test_what_does_not_fit_is_refused():
    with pytest.raises(FrisketError, match="divisor of 14 bits"):
        maskbit(bits=14, groups=3)
    weights, _, _ = golden("maskbit")
    with pytest.raises(FrisketError, match="lack"):
        load_official("maskbit", {k: v for k, v in weights.items() if k != "pos_emb"}, num_heads=2)

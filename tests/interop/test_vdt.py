"""Parity with the official forward and its masked loss, the counts of its sizes, and what the block promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import Condition, FrisketError
from frisket.core.condition import Output
from frisket.interop.golden import forward_difference
from frisket.interop.official import load_official
from frisket.interop.vdt import PROCESS, SIZES, vdt_of_size, vdt_pipeline, vdt_transformer
from frisket.models.count import count_parameters, parameters_of_size
from frisket.models.layers.positions import NoPositions
from frisket.processes.known import Known
from frisket.processes.variances import FixedSmall
from frisket.testing.backbones import stir

GOLDEN = Path(__file__).parent.parent / "golden" / "vdt_forward.npz"
X = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
T = torch.tensor([40.0, 900.0])


@pytest.fixture(scope="module")
def held():
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


@pytest.fixture(scope="module")
def weights(held):
    return {k[2:]: v for k, v in held.items() if k.startswith("w/")}


def small(**changes):
    config = vdt_transformer(16, 2, 2, frames=3, side=4, channels=2, classes=None)
    return replace(config, **changes)


def test_the_forward_is_the_official_one():
    assert forward_difference("vdt", num_heads=2) < 1e-5


def test_the_masked_loss_is_the_official_one_but_for_what_it_is_divided_by(held, weights):
    model = load_official("vdt", weights, num_heads=2)
    mask = held["mask"].unsqueeze(1)
    t = (held["in/t"].double() + 1) / 1000
    known = Known(values=held["in/x"], where=mask == 0)
    corrupted = PROCESS.corrupt(held["in/x"], t, held["noise"], known)
    time = PROCESS.model_time(t)
    torch.testing.assert_close(time.float(), held["in/t"], atol=1e-3, rtol=0)
    with torch.no_grad():
        output = model(corrupted.x_t, held["in/t"], Condition.of(label=held["in/y"]))
    share = held["mask"].flatten(1).mean(1)
    torch.testing.assert_close(PROCESS.loss(output, corrupted)["denoise"] * share, held["mse"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "count", "learnt"), [("S", 41_849_120, 41_744_672), ("L", 861_168_416, 860_855_072)])
def test_the_sizes_have_the_official_counts(size, count, learnt):
    assert parameters_of_size(vdt_of_size(size)) == count
    with torch.device("meta"):
        assert count_parameters(vdt_of_size(size).build(), trained_only=True) == learnt
    depth, width, _ = SIZES[size]
    with torch.device("meta"):
        block = vdt_of_size(size).build().blocks[0].branches["time"]
    assert count_parameters(block) == 5 * width**2 + 7 * width
    assert len(vdt_of_size(size).blocks) == depth


def test_everything_known_is_no_loss_and_nothing_known_is_plain_diffusion():
    noise, t = torch.randn_like(X), torch.tensor([0.3, 0.6], dtype=torch.float64)
    whole, none = (torch.full((2, 1, 1, 1, 1), on) for on in (True, False))
    output = Output(torch.randn(2, 4, 3, 4, 4, generator=torch.Generator().manual_seed(2)))
    given = PROCESS.corrupt(X, t, noise, Known(values=X, where=whole))
    assert torch.equal(given.x_t, X)
    assert all(bool((term == 0).all()) for term in PROCESS.loss(output, given).values())
    free, plain = PROCESS.corrupt(X, t, noise, Known(values=X, where=none)), PROCESS.corrupt(X, t, noise)
    assert torch.equal(free.x_t, plain.x_t)
    for name, term in PROCESS.loss(output, plain).items():
        assert torch.equal(PROCESS.loss(output, free)[name], term)


def test_at_first_only_the_attention_over_time_moves_the_tokens():
    model = small().build()
    for block in model.blocks:
        assert block.modulation.linear.weight.abs().max() == 0
        assert block.branches["time"].mixer.linear.weight.abs().max() > 0


def frames_changed(model, j):
    """Which frames of the output change when frame j of the input does."""
    changed = X.clone()
    changed[:, :, j] += 1
    with torch.no_grad():
        return (model(X, T).pred != model(changed, T).pred).any(4).any(3).any(1).any(0).tolist()


def test_without_the_layer_behind_frames_are_independent():
    model = small().build()
    stir(model, 0.2)
    assert frames_changed(model, 1) == [True, True, True]
    for block in model.blocks:
        torch.nn.init.zeros_(block.branches["time"].mixer.linear.weight)
        torch.nn.init.zeros_(block.branches["time"].mixer.linear.bias)
    assert frames_changed(model, 1) == [False, True, False]


def test_equal_frames_without_places_stay_equal():
    model = small(positions=NoPositions()).build()
    stir(model, 0.2)
    same = X[:, :, :1].expand(-1, -1, 3, -1, -1)
    with torch.no_grad():
        out = model(same, T).pred
    torch.testing.assert_close(out, out[:, :, :1].expand_as(out), rtol=1e-5, atol=1e-6)


def test_the_pipeline_completes_and_wrong_facts_are_refused(weights):
    pipeline = vdt_pipeline(load_official("vdt", weights, num_heads=2), steps=3)
    where = torch.zeros(2, 1, 3, 4, 4, dtype=torch.bool)
    where[:, :, 0] = True
    made = pipeline.complete(Known(values=X, where=where), label=0)
    assert torch.equal(made[:, :, 0], X[:, :, 0])
    assert made.isfinite().all()
    with pytest.raises(FrisketError, match="no published size"):
        load_official("vdt", weights)
    assert replace(PROCESS, variance=FixedSmall()).outputs(4) == 4

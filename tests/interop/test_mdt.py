"""Parity with both official versions: masked, dense and guided passes at equal weights, and the published counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import Condition, FrisketError, Step
from frisket.interop.golden import forward_difference
from frisket.interop.mdt import PROCESS_V2, mdt_v1, mdt_v1_pipeline, mdt_v2, mdt_v2_pipeline, skips_of
from frisket.interop.official import load_official
from frisket.models.backbones.sizes import DIT
from frisket.models.count import parameters_of_size
from frisket.sampling.guidance import Inputs

GOLDEN = Path(__file__).parent.parent / "golden"
COUNTS = {
    "S": (35_797_208, 38_159_576, 38_454_872), "B": (141_488_528, 150_931_856, 152_112_272),
    "L": (477_641_312, 507_015_776, 509_113_952), "XL": (699_778_144, 742_263_904, 744_919_264),
}  # fmt: skip


def arrays(name):
    with np.load(GOLDEN / f"{name}_forward.npz", allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


def weights_of(held):
    return {k[2:]: v for k, v in held.items() if k.startswith("w/")}


@pytest.fixture(scope="module", params=["mdtv1", "mdtv2"])
def loaded(request):
    held = arrays(request.param)
    return request.param, held, load_official(request.param, weights_of(held), num_heads=2)


def call(model, held, keep=None):
    with torch.no_grad():
        return model(held["in/x"], held["in/t"], Condition.of(label=held["in/y"]), keep).pred


def test_masked_and_dense_passes_are_the_official_ones(loaded):
    name, held, model = loaded
    assert forward_difference(name, num_heads=2) < 1e-5
    ids = held["in/keep/encoder"]
    torch.testing.assert_close(call(model, held, {"encoder": ids}), held["out"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(call(model, held), held["dense"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        call(model, held, {"encoder": ids.sort(1).values}), held["out"], rtol=1e-5, atol=1e-5
    )  # the order of the kept does not matter
    assert (held["out"] - held["dense"]).abs().max() > 0.1


def test_the_guided_pass_is_the_official_one(loaded):
    name, held, model = loaded
    pipeline = (mdt_v1_pipeline if name == "mdtv1" else mdt_v2_pipeline)(model)

    class Call:
        def model(self, name):
            return model

        def __call__(self, name, x, time, cond, keep, step):
            with torch.no_grad():
                return model(x, time, cond, keep)

    cond = Condition.of(label=torch.tensor([2, 5]))
    inputs = Inputs(x=held["z"], time=torch.full((2,), 600.0), cond=cond)
    level = torch.full((2,), 0.6, dtype=torch.float64)
    out = pipeline.sampler.guidance.pred(Call(), inputs, level, Step(seed=0, sample=torch.arange(2))).pred
    torch.testing.assert_close(out, held["guided"][:2], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("size", DIT)
def test_the_published_counts(size):
    depth, width, heads = DIT[size]
    ours = (mdt_v1(depth, width, heads), mdt_v2(depth, width, heads), mdt_v2(depth, width, heads, decoder=6))
    assert tuple(map(parameters_of_size, ours)) == COUNTS[size]


def test_an_odd_encoder_is_refused_and_the_first_fold_is_its_own_input():
    with pytest.raises(FrisketError, match="even number"):
        skips_of(12, 5)
    skips = skips_of(6, 2)
    assert [(s.source, s.target) for s in skips] == [(1, 2), (0, 3), (-1, 4), (-1, 5)]


def test_the_loss_of_the_second_version_is_weighted():
    assert mdt_v2_pipeline(load_official("mdtv2", weights_of(arrays("mdtv2")), num_heads=2)).process == PROCESS_V2

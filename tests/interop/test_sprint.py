"""Parity with the official sparse, dense, path-dropped and guided passes at equal weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import Condition, FrisketError, Step
from frisket.interop.golden import forward_difference
from frisket.interop.official import load_official
from frisket.interop.sprint import PROCESS, sprint_pipeline, sprint_transformer
from frisket.models.count import parameters_of_size
from frisket.sampling.base import Start
from frisket.sampling.guidance import path_drop
from frisket.sampling.sampler import Sampler

GOLDEN = Path(__file__).parent.parent / "golden" / "sprint_forward.npz"
FACTS = {"num_heads": 2, "input_size": 8}
NOBODY = torch.empty(3, 0, dtype=torch.int64)


@pytest.fixture(scope="module")
def held():
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


@pytest.fixture(scope="module")
def model(held):
    return load_official("sprint", {k[2:]: v for k, v in held.items() if k.startswith("w/")}, **FACTS)


def call(model, held, keep=None, drop=False):
    cond = Condition.of(label=held["in/y"])
    with torch.no_grad():
        return model(held["in/x"], held["in/t"], cond.without() if drop else cond, keep).pred


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_the_sparse_and_the_dense_pass_are_the_official_ones(model, held):
    assert forward_difference("sprint", **FACTS) < 1e-5
    close(call(model, held, {"middle": held["in/keep/middle"]}), held["out"])
    close(call(model, held), held["dense"])
    assert (held["out"] - held["dense"]).abs().max() > 0.1


def test_a_sample_that_skips_the_span_is_the_official_path_drop(model, held):
    ids = held["in/keep/middle"].masked_fill(held["skips"][:, None], -1)
    assert held["skips"].any()
    assert not held["skips"].all()
    close(call(model, held, {"middle": ids}), held["dropped"])


def test_the_branches_of_path_drop_guidance_are_the_official_ones(model, held):
    conditional, shallow = held["pdg"].chunk(2)
    close(call(model, held), conditional)
    close(call(model, held, {"middle": NOBODY}, drop=True), shallow)


def test_guided_sampling_is_the_official_one(model, held):
    made = Sampler(steps=3, guidance=path_drop(3.0)).sample(
        model, PROCESS, shape=(3, 8, 8), step=Step(seed=0, sample=torch.arange(3)),
        cond=Condition.of(label=held["in/y"]), start=Start(x=held["z"], t=1.0),
    )  # fmt: skip
    torch.testing.assert_close(made.double(), held["sampled"].double(), rtol=1e-5, atol=3e-5)


def test_the_published_count():
    assert parameters_of_size(sprint_transformer(1152, 16, (2, 24, 2))) == 677_476_816


def test_projectors_are_left_out_and_a_wrong_patch_is_refused(held):
    weights = {k[2:]: v for k, v in held.items() if k.startswith("w/")}
    more = {**weights, "projectors.0.weight": torch.zeros(2, 2)}
    assert sprint_pipeline(load_official("sprint", more, **FACTS)).process == PROCESS
    with pytest.raises(FrisketError, match="patch"):
        load_official("sprint", weights, **FACTS, patch=5)

"""Parity with the official routed forward, and with its guided sampling, at equal weights and routes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import Condition, Step
from frisket.interop.golden import forward_difference
from frisket.interop.official import load_official
from frisket.interop.tread import EDM_PROCESS, tread_pipeline
from frisket.models.plans.routing import Routing
from frisket.processes.gaussian import Gaussian
from frisket.sampling.base import Start
from frisket.sampling.guidance import Branch, Guidance
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant

GOLDEN = Path(__file__).parent.parent / "golden" / "tread_forward.npz"
FACTS = {"num_heads": 4, "input_size": 8, "low": 1, "high": -1}


@pytest.fixture(scope="module")
def held():
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


@pytest.fixture(scope="module")
def model(held):
    return load_official("tread", {k[2:]: v for k, v in held.items() if k.startswith("w/")}, **FACTS)


def call(model, held, keep=None):
    with torch.no_grad():
        return model(held["in/x"], held["in/t"], Condition.of(label=held["in/y"]), keep).pred


def test_the_routed_forward_is_the_official_one(model, held):
    assert forward_difference("tread", **FACTS) < 1e-5
    for ids, out in ((held["in/keep/route"], held["out"]), (held["ids_low"], held["low"])):
        torch.testing.assert_close(call(model, held, {"route": ids}), out, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(call(model, held), held["dense"], rtol=1e-5, atol=1e-5)
    assert (held["out"] - held["dense"]).abs().max() > 0.1


def test_another_route_would_be_noticed(model, held):
    off = call(model, held, {"route": held["in/keep/route"].flip(0)})
    assert (off - held["out"]).abs().max() > 1e-2


class Replayed:
    """The routes that were drawn by the official sampler."""

    def __init__(self, ids):
        self.ids = ids

    def keep(self, model, x, step):
        return {"route": self.ids[step.index]}


def test_guided_sampling_is_the_official_one(model, held):
    """Three Euler steps; the official sampler drops the class in both branches."""
    strong = Branch(name="strong", absent=("*",), keep=Replayed(held["strong"]))
    weak = Branch(name="weak", absent=("*",), keep=Replayed(held["weak"]))
    sampler = Sampler(steps=3, guidance=Guidance(main=strong, others=(weak,), scales=(Constant(value=1.5),)))
    made = sampler.sample(
        model, Gaussian(), shape=(3, 8, 8), step=Step(seed=0, sample=torch.arange(3)),
        cond=Condition.of(label=held["in/y"]), start=Start(x=held["z"], t=1.0),
    )  # fmt: skip
    torch.testing.assert_close(made, held["sampled"], rtol=1e-5, atol=2e-5)


def test_the_loaded_model_has_the_route_and_the_wiring_is_edm(model):
    assert model.config.plan == Routing(low=1, high=-1)
    pipeline = tread_pipeline(model)
    assert pipeline.process == EDM_PROCESS
    sigma = torch.tensor([0.05, 0.5, 5.0], dtype=torch.float64)
    t = pipeline.process.path.time(-2 * sigma.log())
    torch.testing.assert_close(pipeline.process.model_time(t).double(), sigma.log() / 4, rtol=1e-4, atol=1e-5)

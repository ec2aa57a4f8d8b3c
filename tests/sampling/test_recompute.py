"""Recomputed forwards: equal states and gradients, replayed draws, memory that does not grow with the steps."""

from __future__ import annotations

import pytest
import torch
from small_models import pipeline

from frisket.compression.gates import UnitGates
from frisket.core import Step, install
from frisket.core.condition import Condition
from frisket.sampling.recompute import recomputed
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.heun import Heun

SITES = {"block[0].attn.attend": 4, "block[2].ffn.hidden": 32}
STEP = Step(seed=3, sample=torch.tensor([4, 9]), run="test")
COND = Condition.of(label=torch.tensor([1, 5]))


def gradients(handlers, sampler, draws="step"):
    """The final state of a gated run, and what its square tells each logit."""
    pipe = pipeline()
    gates = UnitGates(SITES, start=1.0)
    pipe.model.requires_grad_(False)
    with install(pipe.model, {**gates.handlers(0.1, draws), **handlers}):
        x = sampler.sample(pipe.model, pipe.process, shape=(1, 8, 8), step=STEP, cond=COND, grad=True)
    x.square().mean().backward()
    return x.detach(), [logits.grad.clone() for logits in gates.logits]


@pytest.mark.parametrize("draws", ["step", "trajectory"])
@pytest.mark.parametrize("update", [None, Heun(), Ancestral()], ids=["euler", "heun", "ancestral"])
def test_replayed_draws_give_equal_gradients(update, draws):
    own = pipeline().sampler
    sampler = own if update is None else Sampler(steps=3, update=update, guidance=own.guidance)
    x, grads = gradients({}, sampler, draws)
    again, replayed = gradients(recomputed(), sampler, draws)
    assert torch.equal(x, again)
    for a, b in zip(grads, replayed, strict=True):
        assert a.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def saved(handlers, steps):
    """Numbers that one run keeps for its gradient."""
    total = 0

    def pack(x):
        nonlocal total
        total += x.numel()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        gradients(handlers, Sampler(steps=steps))
    return total


def test_what_is_kept_hardly_grows_with_the_steps():
    plain = saved({}, 8) - saved({}, 4)
    assert saved(recomputed(), 8) - saved(recomputed(), 4) < plain / 3


def test_without_gradients_it_is_the_plain_call():
    pipe = pipeline()
    wanted = pipe.sample(2, label=0)
    with install(pipe.model, recomputed()):
        assert torch.equal(pipe.sample(2, label=0), wanted)

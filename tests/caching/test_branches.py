from __future__ import annotations

import pytest
import torch
from caching_fakes import forward, states, tiny
from torch import nn

from frisket.caching.branches import branch_sites, mount_branches
from frisket.core import Dispatch, FrisketError, Step, install, use_step

STEP = Step(seed=0, sample=torch.arange(2))


class Alternating:
    """Computes block 0, reuses what it can elsewhere; notes the order in which it is asked."""

    def __init__(self, log):
        self.log = log

    def begin(self, step):
        self.log.append(("begin", step.index))

    def decide(self, site, step):
        return "compute" if site.startswith("block[0]") else "reuse"

    def see(self, site, result, step):
        self.log.append((site, step.index))

    def end(self, step):
        self.log.append(("end", step.index))


def test_branches_are_found_by_name():
    model = tiny(depth=2)
    assert branch_sites(model) == ["block[0].attn", "block[0].ffn", "block[1].attn", "block[1].ffn"]
    assert branch_sites(model, ("ffn",)) == ["block[0].ffn", "block[1].ffn"]
    assert branch_sites(model, ("model",)) == ["model"]
    with pytest.raises(FrisketError, match="unknown branch 'mlp'"):
        branch_sites(model, ("mlp",))


def test_a_policy_frames_each_forward_and_sees_what_is_computed():
    model, log = tiny(depth=2), []
    mounted = mount_branches(model, (), lambda: Alternating(log))
    with install(model, mounted.handlers):
        for index, x in enumerate(states(2)):
            forward(model, x, 0.5, index)
    assert log == [
        ("begin", 0), *((s, 0) for s in branch_sites(model)), ("end", 0),
        ("begin", 1), ("block[0].attn", 1), ("block[0].ffn", 1), ("end", 1),
    ]  # fmt: skip


def test_a_model_without_branches_is_refused():
    class Bare(nn.Module):
        def sites(self):
            return ["model", "head"]

    with pytest.raises(FrisketError, match="Bare has no branch sites"):
        mount_branches(Bare(), (), lambda: Alternating([]))


def test_a_branch_that_is_run_in_chunks_keeps_each_chunk():
    class Chunked(nn.Module):
        """One branch, called for each half of the tokens."""

        def sites(self):
            return ["model", "block[0].ffn", "block[1].ffn"]

        def forward(self, x):
            at = Dispatch(self)
            return at(
                "model", lambda x: torch.cat([at("block[1].ffn", torch.sin, part) for part in x.chunk(2, 1)], 1), x
            )

    model, x = Chunked(), torch.arange(4.0)[None]
    mounted = mount_branches(model, (), lambda: Alternating([]))
    with install(model, mounted.handlers):
        for index in range(2):
            with use_step(Step(seed=0, sample=torch.arange(1), index=index, total=3)):
                out = model(x)
    assert torch.equal(out, x.sin())
    assert mounted.report.reused == 2


def test_a_forward_that_fails_leaves_the_books_usable():
    model, (x,) = tiny(), states(1)
    mounted = mount_branches(model, (), lambda: Alternating([]))
    with install(model, mounted.handlers):
        with pytest.raises(ValueError, match="boom"), install(model, {"head": fail}):
            forward(model, x, 0.5, 0)
        forward(model, x, 0.5, 1)
        forward(model, x, 0.5, 2)
    assert mounted.report.forwards[-1].reused == 4
    assert 0 < mounted.report.share < 1


def fail(call, args, step):
    raise ValueError("boom")


def test_a_branch_called_by_itself_is_just_called():
    model, (x,) = tiny(), states(1)
    mounted = mount_branches(model, (), lambda: Alternating([]))
    assert mounted.handlers["block[1].attn"](torch.sin, (x,), STEP).equal(x.sin())

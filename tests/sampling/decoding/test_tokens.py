"""Decoding continuous tokens: how many a move reveals, who is asked, guidance, and what stays as it was."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.caching.pivots import Pivots
from frisket.core import Condition, FrisketError
from frisket.core.condition import Output
from frisket.core.nested import hidden_tokens, unpack
from frisket.core.step import Step
from frisket.interop.mar import PHASED
from frisket.models.backbones.masked_tokens import MaskedTokens, TokenLevel
from frisket.models.layers.token_heads import EachToken, WholeGrid
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.processes.masked_tokens import Level
from frisket.processes.masked_tokens import MaskedTokens as Process
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.decoding.tokens import Tokens, shared_out
from frisket.sampling.grids import Uniform
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Linear
from frisket.sampling.solvers.euler import Euler

HEAD = Sampler(steps=3, update=Euler(), grid=Uniform(), corrections=(ImposeKnown(how="same-noise"),))
ONE = Process(levels=(Level(tokens=16),))


class Points:
    """A perfect head: the velocity that ends at the token's own number, times a factor when the label is dropped."""

    def __init__(self, null=1.0):
        self.null, self.asked, self.trunks = null, [], 0

    def sites(self):
        return ["trunk"]

    def __call__(self, x, t=None, cond=None):
        given = unpack(x, 2)
        self.asked.append((~torch.isnan(given.noisy[0, 0, :, 0])).sum().item())
        target = torch.arange(x.shape[2]).float().expand(len(x), 2, -1)
        if cond is not None and "label" in cond.drop:
            target = torch.where(cond.drop["label"][:, None, None], target * self.null, target)
        noisy, time = given.noisy[:, 0].transpose(1, 2), given.time[:, :1, :]
        return Output((noisy - target) / time)


def step(b=3):
    return Step(seed=0, sample=torch.arange(b))


def run(process=ONE, steps=4, model=None, **inputs):
    sampler = Sampler(steps=steps, update=Tokens(head=HEAD), corrections=(ImposeKnown(),))
    n = sum(level.tokens for level in process.levels)
    return list(sampler.run(model or Points(), process, shape=(2, n), step=step(), **inputs))


def test_counts_follow_the_cosine_and_all_is_filled():
    steps = 5
    left = [int(hidden_tokens(s.x)[0].sum()) for s in run(steps=steps)]
    wanted, now = [16], 16
    for i in range(1, steps):
        now = max(1, min(now - 1, math.floor(16 * math.cos(math.pi / 2 * i / steps))))
        wanted.append(now)
    assert left == [*wanted, 0]


def test_a_perfect_head_puts_every_token_where_it_belongs():
    x = run()[-1].x
    torch.testing.assert_close(x, torch.arange(16.0).expand(3, 2, -1), rtol=1e-4, atol=1e-4)


def test_only_revealed_tokens_are_asked_for_and_the_rest_counts_as_the_heads():
    model = Points()
    snaps = run(model=model)
    per_move = [a for i, a in enumerate(model.asked) if i % 3 == 0]
    assert sum(per_move) == 16
    assert snaps[-1].rows == {"": 3 * 4, "/head": 3 * 4 * 2}


def test_a_visible_token_never_changes_and_known_ones_stay():
    where = torch.zeros(3, 1, 16, dtype=torch.bool)
    where[..., 2:6] = True
    known = Known(values=torch.full((3, 2, 16), -7.0), where=where)
    seen = run(known=known)
    assert bool((seen[-1].x[..., 2:6] == -7.0).all())
    for before, after in itertools.pairwise(seen):
        open_ = ~hidden_tokens(before.x)
        assert torch.equal(before.x.transpose(1, 2)[open_], after.x.transpose(1, 2)[open_])


def test_the_scale_sees_the_share_that_is_hidden_after_the_move():
    scales = []

    class Spy(Linear):
        pass

    class Recorded:
        def at(self, t):
            scales.append(float(t[0]))
            return Linear(first=1.0, last=3.0).at(t)

    sampler = Sampler(steps=4, update=Tokens(head=HEAD), guidance=cfg(Recorded(), channels=2))
    sampler.sample(Points(), ONE, shape=(2, 16), step=step(), cond=Condition.of(label=torch.zeros(3, dtype=torch.long)))
    left = math.floor(16 * math.cos(math.pi / 8))
    assert scales[0] == pytest.approx(left / 16), "w = 1 + (w - 1)(N - k) / N with k hidden after the first move"
    assert scales[-1] == 0.0


def test_guidance_is_on_the_heads_own_output():
    sampler = Sampler(steps=1, update=Tokens(head=HEAD), guidance=cfg(2.0, channels=2))
    cond = Condition.of(label=torch.zeros(3, dtype=torch.long))
    x = sampler.sample(Points(null=0.5), ONE, shape=(2, 16), step=step(), cond=cond)
    torch.testing.assert_close(x, 1.5 * torch.arange(16.0).expand(3, 2, -1), rtol=1e-4, atol=1e-4)


def two():
    config = MaskedTokens(
        width=16, heads=2, numbers=2, given=2, encoder=(PHASED,), decoder=(PHASED,), mask="place", buffer=2,
        levels=(TokenLevel(axes=(2, 2), head=EachToken(width=8, depth=1)),
                TokenLevel(axes=(3, 3), head=WholeGrid(width=8, depth=1, heads=2))),
    )  # fmt: skip
    model = config.build()
    with torch.no_grad():
        for i, p in enumerate(p for p in model.parameters() if p.requires_grad):
            p.copy_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    process = Process(levels=(Level(tokens=4, name="coarse"), Level(tokens=9, name="fine", unit="level")))
    return model.eval(), process


def test_levels_are_finished_one_after_the_other_and_each_sample_is_its_own():
    model, process = two()
    sampler = Sampler(steps=4, update=Tokens(moves=(2, 2), head=HEAD), caches=(Pivots(),))
    seen = list(sampler.run(model, process, shape=(2, 13), step=step()))
    hidden = [hidden_tokens(s.x)[0] for s in seen]
    assert bool(hidden[1][4:].all())
    assert not bool(hidden[2][:4].any())
    assert bool(hidden[2][4:].all())
    assert not bool(hidden[-1].any())
    alone = sampler.sample(model, process, shape=(2, 13), step=Step(seed=0, sample=torch.tensor([2])))
    torch.testing.assert_close(seen[-1].x[2:], alone, rtol=1e-4, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(total=st.integers(2, 40), a=st.integers(1, 30), b=st.integers(1, 30))
def test_moves_are_shared_out_in_proportion(total, a, b):
    parts = shared_out(total, (a, b))
    assert sum(parts) == total
    assert min(parts) >= 1
    assert shared_out(a + b, (a, b)) == (a, b)


def test_what_does_not_fit_is_refused():
    with pytest.raises(FrisketError, match="masked-tokens"):
        Sampler(steps=2, update=Tokens()).sample(Points(), Masked(vocabulary=4), shape=(3,), step=step())
    with pytest.raises(FrisketError, match="moves"):
        Sampler(steps=4, update=Tokens(moves=(2, 2))).sample(Points(), ONE, shape=(2, 16), step=step())
    with pytest.raises(FrisketError, match="moves"):
        Tokens(moves=(0,))
    with pytest.raises(FrisketError, match="at least 2"):
        shared_out(1, (1, 1))

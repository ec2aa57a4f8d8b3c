from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_fakes import GaussianDenoiser, Joint, steps

from frisket.core import FrisketError, Output, Step
from frisket.processes.gaussian import Gaussian
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.sampling.base import Moment
from frisket.sampling.corrections import ImposeKnown, Paste
from frisket.sampling.decoding.decoder import Ancestral as Decoder
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.grids import Repaint, Uniform
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.dpm_solver import DPMSolver2M
from frisket.sampling.solvers.heun import Heun

HOWS = ("clean", "renoise", "same-noise")


def known_half(b, n, value):
    where = torch.zeros(b, n, dtype=torch.bool)
    where[:, : n // 2] = True
    return Known(values=value.expand(b, n).clone(), where=where)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("update", [Ancestral(), Heun(), DPMSolver2M()])
@pytest.mark.parametrize("grid", [Uniform(), Repaint(jump=3, resamples=2)])
def test_gaussian_known_comes_out_exactly(how, update, grid):
    process = Gaussian()
    known = known_half(3, 4, torch.tensor([0.123456789]))
    x = Sampler(steps=6, update=update, grid=grid, corrections=(ImposeKnown(how=how),)).sample(
        GaussianDenoiser(process), process, shape=(4,), step=steps(3), known=known
    )
    assert torch.equal(x[known.where], known.values[known.where])
    assert not torch.equal(x[~known.where], known.values[~known.where])


@pytest.mark.parametrize("how", HOWS)
@settings(max_examples=6, deadline=None)
@given(pattern=st.lists(st.booleans(), min_size=3, max_size=3), seed=st.integers(0, 2**31), n=st.integers(1, 6))
def test_known_ids_come_out_exactly_and_nothing_is_hidden(how, pattern, seed, n):
    process = Masked(vocabulary=3)
    joint = Joint(process)
    where = torch.tensor([pattern]).expand(2, 3)
    known = Known(values=torch.tensor([[2, 0, 1], [1, 1, 2]]), where=where)
    for update in (Decoder(), Ordered()):
        x = Sampler(steps=n, update=update, corrections=(ImposeKnown(how=how),)).sample(
            joint, process, shape=(3,), step=steps(2, seed=seed), known=known
        )
        assert torch.equal(x[where], known.values[where])
        assert bool((x < 3).all())


def test_clean_ids_are_never_altered_on_the_way():
    process = Masked(vocabulary=3)
    known = Known(values=torch.tensor([[2, 0, 1]]), where=torch.tensor([[True, False, True]]))
    sampler = Sampler(
        steps=8, update=Decoder(), grid=Repaint(jump=4, resamples=2), corrections=(ImposeKnown(how="clean"),)
    )
    shots = list(sampler.run(Joint(process), process, shape=(3,), step=steps(1), known=known))
    for shot in shots[1:]:
        assert torch.equal(shot.x[known.where], known.values[known.where])


def test_known_is_shown_at_the_level_of_the_state():
    process, seen = Gaussian(), []

    def model(x, t, cond=None):
        seen.append((float(t[0]), x[:, :200].clone()))
        return Output(torch.zeros_like(x))

    known = known_half(1, 400, torch.tensor([5.0]))
    shown = {}
    for how in HOWS:
        seen.clear()
        Sampler(steps=4, corrections=(ImposeKnown(how=how),)).sample(
            model, process, shape=(400,), step=steps(1), known=known
        )
        shown[how] = [((x - (1 - t) * 5.0) / t).flatten() for t, x in seen] if how != "clean" else [x for _, x in seen]
    assert all(bool((x == 5.0).all()) for x in shown["clean"])
    for how in ("renoise", "same-noise"):
        assert all(float(z.std()) == pytest.approx(1.0, abs=0.15) for z in shown[how])
    torch.testing.assert_close(shown["same-noise"][0], shown["same-noise"][3], rtol=0, atol=1e-4)
    assert abs(float(torch.corrcoef(torch.stack([shown["renoise"][0], shown["renoise"][3]]))[0, 1])) < 0.3


def test_shown_ids_stay_shown_with_the_same_noise():
    process, seen = Masked(vocabulary=3), []

    def model(x, t, cond=None):
        seen.append(x[:, :50] == 3)
        return Output(torch.zeros(*x.shape, 3))

    known = known_half(1, 100, torch.tensor([1]))
    Sampler(steps=6, update=Ordered(), corrections=(ImposeKnown(how="same-noise"),)).sample(
        model, process, shape=(100,), step=steps(1), known=known
    )
    for before, after in pairwise(seen):
        assert bool((after <= before).all())
    assert bool(seen[0].all())
    assert not bool(seen[-1].all())


class PairDenoiser:
    """Two coordinates x = (a, b), each N(0, 1), correlation rho: the exact x0, as the velocity on the straight path."""

    def __init__(self, rho):
        self.cov = torch.tensor([[1.0, rho], [rho, 1.0]])

    def __call__(self, x, t, cond=None):
        t = float(t[0])
        total = (1 - t) ** 2 * self.cov + t**2 * torch.eye(2)
        x0 = x @ torch.linalg.solve(total, (1 - t) * self.cov)
        return Output((x - x0) / t)


def test_repaint_brings_the_repainted_part_nearer_to_its_conditional():
    """b given a = 2 has the mean 2 rho; plain replacement is biased towards less, going up and down again mends it."""
    process, rho = Gaussian(), 0.9
    where = torch.tensor([[True, False]]).expand(600, 2)
    known = Known(values=torch.full((600, 2), 2.0), where=where)
    means = []
    for grid in (Uniform(), Repaint(jump=4, resamples=6)):
        sampler = Sampler(steps=20, update=Ancestral(), grid=grid, corrections=(ImposeKnown(how="renoise"),))
        x = sampler.sample(PairDenoiser(rho), process, shape=(2,), step=steps(600), known=known)
        means.append(float(x[:, 1].mean()))
    assert abs(means[1] - 2 * rho) < abs(means[0] - 2 * rho)
    assert means[1] == pytest.approx(2 * rho, abs=0.15)


def test_without_known_nothing_changes():
    process = Gaussian()
    a, b = (
        Sampler(steps=3, corrections=c).sample(GaussianDenoiser(process), process, shape=(4,), step=steps(2))
        for c in ((), (ImposeKnown(),))
    )
    assert torch.equal(a, b)


def test_unknown_ways():
    with pytest.raises(FrisketError, match="clean, renoise, same-noise"):
        ImposeKnown(how="paste")


def test_paste_leaves_the_run_alone_and_puts_the_known_in_at_the_end():
    x, known = (
        torch.zeros(2, 1, 2, 2),
        Known(values=torch.ones(2, 1, 2, 2), where=torch.eye(2).bool().expand(2, 1, 2, 2)),
    )
    at = Moment(process=Gaussian(), evaluate=None, step=Step(seed=0, sample=torch.arange(2)), known=known)
    rows = torch.full((2,), 0.5)
    assert torch.equal(Paste().before(x, rows, at), x)
    assert torch.equal(Paste().after(x, rows, at), x)
    assert torch.equal(Paste().after(x, torch.zeros(2), at), known.impose(x))
    nothing = Moment(process=Gaussian(), evaluate=None, step=Step(seed=0, sample=torch.arange(2)))
    assert torch.equal(Paste().after(x, torch.zeros(2), nothing), x)

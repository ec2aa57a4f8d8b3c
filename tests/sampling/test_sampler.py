from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_fakes import GaussianDenoiser, Joint, steps

from frisket.core import Condition, FrisketError, Output, current_step, from_config, to_config
from frisket.processes.clocks import CleanKnown, Global
from frisket.processes.gaussian import Gaussian
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.sampling.base import Start
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.decoding.decoder import Ancestral as Decoder
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.grids import Repaint
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.heun import Heun
from frisket.sampling.solvers.sde_euler import SDEEuler


@pytest.mark.parametrize("update", [DDIM(eta=1.0), Ancestral(), SDEEuler()])
@settings(max_examples=8, deadline=None)
@given(position=st.integers(0, 6), size=st.integers(1, 4))
def test_a_gaussian_sample_depends_only_on_its_own_number(update, position, size):
    process = Gaussian()
    sampler = Sampler(steps=5, update=update)
    together = sampler.sample(GaussianDenoiser(process), process, shape=(2,), step=steps(10))
    part = sampler.sample(GaussianDenoiser(process), process, shape=(2,), step=steps(size, first=position))
    torch.testing.assert_close(together[position : position + size], part, rtol=0, atol=1e-5)


@pytest.mark.parametrize("update", [Decoder(), Ordered()])
@settings(max_examples=8, deadline=None)
@given(position=st.integers(0, 6), size=st.integers(1, 4))
def test_ids_depend_only_on_their_own_number(update, position, size):
    process = Masked(vocabulary=3)
    joint = Joint(process)
    sampler = Sampler(steps=4, update=update)
    together = sampler.sample(joint, process, shape=(3,), step=steps(10))
    part = sampler.sample(joint, process, shape=(3,), step=steps(size, first=position))
    assert torch.equal(together[position : position + size], part)


def test_seeds_differ_and_come_back():
    process = Gaussian()
    a, b, c = (
        Sampler(steps=3, update=Ancestral()).sample(
            GaussianDenoiser(process), process, shape=(4,), step=steps(2, seed=seed)
        )
        for seed in (0, 0, 1)
    )
    assert torch.equal(a, b)
    assert not torch.allclose(a, c)


def test_every_model_call_has_its_step():
    process, seen = Gaussian(), []

    def model(x, t, cond=None):
        seen.append(current_step())
        return Output(torch.zeros_like(x))

    Sampler(steps=3, update=Heun()).sample(model, process, shape=(2,), step=steps(2))
    assert [(s.index, s.call) for s in seen] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert {(s.total, s.branch) for s in seen} == {(3, "conditional")}


@pytest.mark.parametrize(("clock", "told"), [(CleanKnown(), [0.0, 1.0, 1.0]), (Global(), [1.0])])
def test_a_clock_that_leaves_the_known_clean_says_so_to_the_model(clock, told):
    seen = []

    def model(x, t, cond=None):
        seen.append(t.flatten(1).tolist()[0] if t.ndim > 1 else t[:1].tolist())
        return Output(torch.zeros_like(x))

    known = Known(values=torch.ones(2, 1, 3), where=torch.tensor([True, False, False]).expand(2, 1, 3))
    sampler = Sampler(steps=2, corrections=(ImposeKnown(how="clean"),))
    made = sampler.sample(model, Gaussian(clock=clock), shape=(1, 3), step=steps(2), known=known)
    assert seen == [told, [t / 2 for t in told]]
    assert torch.equal(made[:, :, 0], torch.ones(2, 1))


def test_prior_and_fresh_noise_are_different_numbers():
    process = Gaussian()
    shots = list(
        Sampler(steps=2, update=Ancestral()).run(
            lambda x, t, cond=None: Output(x / t[0]), process, shape=(2000,), step=steps(1)
        )
    )  # the estimate of x0 is 0, so the first move is a known share of x and fresh noise
    keep = process.posterior(
        shots[0].x, shots[1].estimate, torch.ones(1, dtype=torch.float64), torch.full((1,), 0.5, dtype=torch.float64)
    )[0]
    added = shots[1].x - keep
    assert float(added.std()) > 0.1
    assert abs(float(torch.corrcoef(torch.cat([shots[0].x, added]))[0, 1])) < 0.1


def test_snapshots_count_rows_and_name_times():
    process = Gaussian()
    shots = list(Sampler(steps=4).run(GaussianDenoiser(process), process, shape=(2,), step=steps(3)))
    assert [s.t for s in shots] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert [s.index for s in shots] == [0, 1, 2, 3, 4]
    assert [s.forwards for s in shots] == [0, 3, 6, 9, 12]
    assert shots[0].estimate is None


def test_guided_rows_count_twice():
    process = Gaussian()
    *_, last = Sampler(steps=4, guidance=cfg(2.0)).run(
        GaussianDenoiser(process), process, shape=(2,), step=steps(3), cond=Condition.of(label=torch.ones(3))
    )
    assert last.forwards == 24
    assert last.rows == {"": 24}


def test_gradients_only_when_asked():
    process = Gaussian()
    mean = torch.nn.Parameter(torch.tensor(1.5))

    def model(x, t, cond=None):
        return Output(-mean.expand_as(x))

    inputs = {"shape": (2,), "step": steps(2)}
    assert not Sampler(steps=2).sample(model, process, **inputs).requires_grad
    Sampler(steps=2).sample(model, process, **inputs, grad=True).sum().backward()
    assert mean.grad is not None
    assert float(mean.grad) == pytest.approx(4.0)  # the velocity is -mean and time runs down by one: 1 an element


def test_gradient_mode_does_not_leak_between_moves():
    process = Gaussian()
    for _ in Sampler(steps=2).run(GaussianDenoiser(process), process, shape=(2,), step=steps(2)):
        assert torch.is_grad_enabled()


def test_a_grid_that_goes_up_renoises():
    process = Gaussian()
    model = GaussianDenoiser(process)
    sampler = Sampler(steps=40, update=Ancestral(), grid=Repaint(jump=10, resamples=2))
    shots = list(sampler.run(model, process, shape=(50,), step=steps(40)))
    ups = [b for a, b in pairwise(shots) if b.t > a.t]
    assert len(ups) == 4
    assert all(s.estimate is None for s in ups)
    assert model.rows == 40 * 80
    middle = ups[2]
    assert float(middle.x.std()) == pytest.approx(((1 - middle.t) ** 2 * 0.25 + middle.t**2) ** 0.5, rel=0.08)
    assert float(shots[-1].x.std()) == pytest.approx(0.5, abs=0.04)


def test_config_round_trip():
    sampler = Sampler(steps=7, update=DDIM(eta=0.5), guidance=cfg(2.0), corrections=(ImposeKnown(),))
    assert from_config(to_config(sampler)) == sampler


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ({"known": Known(values=torch.zeros(2, 3), where=torch.ones(2, 3, dtype=torch.bool))}, "ImposeKnown"),
        ({"known": Known(values=torch.zeros(2, 4), where=torch.ones(2, 4, dtype=torch.bool))}, "known has the shape"),
        ({"start": Start(x=torch.zeros(3, 3), t=0.5)}, "start has the shape"),
        ({"cond": Condition.of(label=torch.zeros(5))}, "5 rows"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_forward(inputs, match):
    process = Gaussian()
    model = GaussianDenoiser(process)
    with pytest.raises(FrisketError, match=match):
        Sampler(steps=2).run(model, process, shape=(3,), step=steps(2), **inputs)
    assert model.rows == 0


@pytest.mark.parametrize("times", [[1.0, 0.5], [1.0, 1.0, 0.0], [1.2, 0.0], [0.0], [1.0, -0.1, 0.0]])
def test_broken_grids(times):
    class Grid:
        def times(self, steps, process):
            return torch.tensor(times)

    with pytest.raises(FrisketError, match="time grid"):
        Sampler(steps=2, grid=Grid()).run(None, Gaussian(), shape=(3,), step=steps(2))


def test_no_steps():
    with pytest.raises(FrisketError, match=r"sampler\.steps = 0"):
        Sampler(steps=0)


def test_a_start_outside_time():
    with pytest.raises(FrisketError, match=r"start\.t"):
        Start(x=torch.zeros(1), t=0.0)

"""Runs on states of several entries: what a run of each entry alone would give, by every solver, and dicts at both ends."""

from __future__ import annotations

import pytest
import torch

from frisket.core.condition import Condition, Output
from frisket.core.errors import FrisketError
from frisket.core.state import Layout, shape_of
from frisket.core.step import Step
from frisket.processes.gaussian import Gaussian
from frisket.processes.joint import Joint
from frisket.processes.known import Known
from frisket.processes.paths import Trigonometric
from frisket.sampling.base import Start
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.grids import Rho
from frisket.sampling.guidance import Branch, Guidance, cfg
from frisket.sampling.joined import FlatProcess
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.dpm_solver import DPMSolver2M
from frisket.sampling.solvers.euler import Euler
from frisket.sampling.solvers.heun import Heun
from frisket.sampling.solvers.sde_euler import SDEEuler

SHAPES = {"x": (2, 3, 3), "cls": (5,)}
PROCESS = Joint(entries={"x": Gaussian(), "cls": Gaussian(path=Trigonometric())})
STEP = Step(seed=5, sample=torch.arange(3))
LABEL = Condition.of(label=torch.tensor([0.5, 1.0, 2.0]))


def bent(x, t, label):
    at = (-1, *[1] * (x.ndim - 1))
    return torch.tanh(x) * (1 + t.reshape(at).float()) + label.reshape(at)


class Apart:
    """Predicts every entry from itself alone."""

    def __call__(self, x, t, cond=None, keep=None):
        value = cond.values["label"] * (~cond.dropped("label"))
        if isinstance(x, torch.Tensor):
            return Output(bent(x, t, value))
        return Output({name: bent(v, t, value) for name, v in x.items()})


def starts():
    return {n: torch.randn(3, *s, generator=torch.Generator().manual_seed(9)) for n, s in SHAPES.items()}


@pytest.mark.parametrize("update", [Euler(), Heun(), DDIM(), DPMSolver2M()])
@pytest.mark.parametrize("guidance", [Guidance(), cfg(2.0)])
def test_entries_that_do_not_look_at_each_other_run_as_if_alone(update, guidance):
    sampler = Sampler(steps=5, update=update, guidance=guidance)
    x = starts()
    both = sampler.sample(Apart(), PROCESS, shape=SHAPES, step=STEP, cond=LABEL, start=Start(x=x, t=1.0))
    assert list(both) == ["x", "cls"]
    for name, process in PROCESS.entries.items():
        alone = sampler.sample(
            Apart(), process, shape=SHAPES[name], step=STEP, cond=LABEL, start=Start(x=x[name], t=1.0)
        )
        torch.testing.assert_close(both[name], alone, rtol=1e-5, atol=1e-5)


def test_fresh_noise_of_x_is_what_it_would_be_alone():
    for update in (SDEEuler(churn=1.0), Ancestral()):
        sampler = Sampler(steps=4, update=update)
        both = sampler.sample(Apart(), PROCESS, shape=SHAPES, step=STEP, cond=LABEL)
        alone = sampler.sample(Apart(), PROCESS.main, shape=SHAPES["x"], step=STEP, cond=LABEL)
        torch.testing.assert_close(both["x"], alone, rtol=1e-5, atol=1e-5)
        row = sampler.sample(
            Apart(), PROCESS, shape=SHAPES, step=STEP.rows(torch.tensor([1])), cond=LABEL.rows(torch.tensor([1]))
        )
        torch.testing.assert_close(row["cls"][0], both["cls"][1], rtol=1e-5, atol=1e-5)


def test_snapshots_hold_entries_and_a_run_can_be_inverted():
    sampler = Sampler(steps=40, update=Heun())
    shots = list(sampler.run(Apart(), PROCESS, shape=SHAPES, step=STEP, cond=LABEL, start=Start(x=starts(), t=1.0)))
    assert all(shape_of(shot.x) == SHAPES for shot in shots)
    assert shape_of(shots[-1].estimate.x0) == SHAPES
    assert shots[0].estimate is None
    up = list(sampler.invert(Apart(), PROCESS, x=shots[-1].x, step=STEP, cond=LABEL))
    for name in SHAPES:
        assert (up[-1].x[name] - starts()[name]).abs().mean() < 0.02


def test_known_cells_of_x_are_imposed_and_the_vector_is_free():
    values = starts()
    where = torch.zeros(3, 1, 3, 3, dtype=torch.bool)
    where[..., 0] = True
    known = Known.within(values, Known(values=values["x"], where=where))
    sampler = Sampler(steps=4, corrections=(ImposeKnown(how="renoise"),))
    out = sampler.sample(Apart(), PROCESS, shape=SHAPES, step=STEP, cond=LABEL, known=known)
    assert torch.equal(out["x"][..., 0], values["x"][..., 0])
    assert (out["x"][..., 1:] - values["x"][..., 1:]).abs().min() > 0
    assert (out["cls"] - values["cls"]).abs().min() > 0


def test_the_model_is_called_with_entries_and_keep_rules_see_its_tags():
    seen = []

    class Tagged(Apart):
        def __call__(self, x, t, cond=None, keep=None):
            seen.append((shape_of(x), keep))
            return super().__call__(x, t, cond)

        def tags(self, x):
            return shape_of(x)

    class Rule:
        def keep(self, model, x, step):
            assert model.tags(x) == SHAPES
            return {"middle": torch.zeros(len(x), 0)}

    weak = Guidance(others=(Branch(name="weak", keep=Rule()),), scales=(Constant(value=2.0),))
    sampler = Sampler(steps=1, guidance=weak)
    sampler.sample(Tagged(), PROCESS, shape=SHAPES, step=STEP, cond=LABEL)
    assert [shapes for shapes, _ in seen] == [SHAPES, SHAPES]
    assert [keep is None for _, keep in seen] == [True, False]


def test_the_flat_process_is_the_joint_one_packed():
    layout = Layout(SHAPES)
    flat, x0 = FlatProcess(PROCESS, layout), starts()
    t, s = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64), torch.tensor([0.1, 0.4, 0.7], dtype=torch.float64)
    noise = PROCESS.noise(SHAPES, STEP)
    assert torch.equal(flat.noise((layout.size,), STEP), layout.pack(noise))
    c = flat.corrupt(layout.pack(x0), t, layout.pack(noise))
    assert torch.equal(c.x_t, layout.pack(PROCESS.corrupt(x0, t, noise).x_t))
    estimate = flat.estimate(Output(c.noise), c.x_t, t)
    moved = flat.moments(c.x_t, estimate.x0, t, s)
    mean, log_variance = flat.posterior(c.x_t, estimate, t, s)
    torch.testing.assert_close(mean, moved.mean)
    assert log_variance.shape == mean.shape
    up = flat.renoise(c.x_t, t, t, layout.pack(noise))
    torch.testing.assert_close(up, c.x_t, rtol=1e-4, atol=1e-4)
    assert flat.outputs(3) == 3
    assert flat.path == PROCESS.path


def test_what_needs_channels_or_other_shapes_is_refused():
    with pytest.raises(FrisketError, match="channels"):
        Sampler(guidance=cfg(2.0, channels=1)).sample(Apart(), PROCESS, shape=SHAPES, step=STEP, cond=LABEL)
    with pytest.raises(FrisketError, match="entr"):
        Sampler().sample(Apart(), PROCESS, shape=SHAPES, step=STEP, cond=LABEL, start=Start(x=starts()["x"], t=1.0))


@pytest.mark.parametrize("update", [Euler(), Heun(), DDIM(eta=0.5), DPMSolver2M(), SDEEuler(), Ancestral()])
def test_a_joint_process_of_one_tensor_samples_as_that_of_x(update):
    sampler = Sampler(steps=4, update=update, grid=Rho(high=20.0))
    ours, theirs = (
        sampler.sample(Apart(), process, shape=SHAPES["x"], step=STEP, cond=LABEL)
        for process in (PROCESS, PROCESS.main)
    )
    assert torch.equal(ours, theirs)

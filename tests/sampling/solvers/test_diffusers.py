import pytest
import torch
from sampling_fakes import GaussianDenoiser, steps

from frisket.core import FrisketError, from_config, to_config
from frisket.processes.gaussian import Gaussian
from frisket.processes.paths import Flow, VPLinear
from frisket.processes.predictions import Eps
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.diffusers import DiffusersGrid, DiffusersSolver

pytest.importorskip("diffusers")
CLIP = {"clip_sample": False}
VP = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 2e-2}


def estimate(process, model, x, step, flow):
    t = torch.full((len(x),), float(step) / 1000 if flow else (float(step) + 1) / 1000, dtype=torch.float64)
    return process.estimate(model(x, t), x, t)


def by_hand(scheduler, n, process, model, noise, flow, **options):
    """The loop that a diffusers pipeline runs."""
    scheduler.set_timesteps(n)
    x = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    for step in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, step) if hasattr(scheduler, "scale_model_input") else x
        e = estimate(process, model, seen, step, flow)
        x = scheduler.step(e.noise - e.x0 if flow else e.noise, step, x, return_dict=False, **options)[0]
    return x


@pytest.mark.parametrize(
    ("name", "options", "flow"),
    [
        ("DDIMScheduler", VP | CLIP, False),
        ("DPMSolverMultistepScheduler", VP, False),
        ("EulerDiscreteScheduler", VP | {"timestep_spacing": "leading"}, False),
        ("UniPCMultistepScheduler", VP, False),
        ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, True),
    ],
)
def test_equals_the_scheduler_run_by_hand(name, options, flow):
    import diffusers

    process = Gaussian(path=Flow()) if flow else Gaussian(path=VPLinear(), prediction=Eps())
    model = GaussianDenoiser(process)
    grid = DiffusersGrid(scheduler=name, options=options)
    shots = list(
        Sampler(steps=10, update=DiffusersSolver(grid=grid), grid=grid).run(model, process, shape=(2, 3), step=steps(4))
    )
    wanted = by_hand(getattr(diffusers, name)(**options), 10, process, model, shots[0].x, flow)
    torch.testing.assert_close(shots[-1].x, wanted, rtol=0, atol=3e-4 if "Euler" in name and not flow else 2e-5)


def test_ddim_of_diffusers_equals_ours_on_its_times():
    process = Gaussian(path=VPLinear(), prediction=Eps())
    model = GaussianDenoiser(process)
    grid = DiffusersGrid(options=VP | CLIP | {"timestep_spacing": "trailing", "set_alpha_to_one": True})
    theirs, ours = (
        Sampler(steps=10, update=u, grid=grid).sample(model, process, shape=(3,), step=steps(4))
        for u in (DiffusersSolver(grid=grid), DDIM())
    )
    torch.testing.assert_close(theirs, ours, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("name", "options"), [("DDIMScheduler", {"eta": 1.0}), ("DDPMScheduler", {})])
def test_noise_belongs_to_the_sample(name, options):
    process = Gaussian(path=VPLinear(), prediction=Eps())
    grid = DiffusersGrid(scheduler=name, options=VP | CLIP)
    sampler = Sampler(steps=6, update=DiffusersSolver(grid=grid, options=options), grid=grid)
    state = torch.random.get_rng_state()
    together = sampler.sample(GaussianDenoiser(process), process, shape=(2,), step=steps(5))
    alone = sampler.sample(GaussianDenoiser(process), process, shape=(2,), step=steps(1, first=3))
    torch.testing.assert_close(together[3:4], alone)
    assert torch.equal(state, torch.random.get_rng_state())


def test_config_round_trip():
    part = DiffusersSolver(grid=DiffusersGrid(options=VP), options={"eta": 1.0})
    assert from_config(to_config(part)) == part


@pytest.mark.parametrize(
    ("grid", "match"),
    [
        (DiffusersGrid(scheduler="NoSuchScheduler"), "NoSuchScheduler"),
        (DiffusersGrid(scheduler="DiffusionPipeline"), "scheduler"),
        (DiffusersGrid(scheduler="HeunDiscreteScheduler"), "twice"),
        (DiffusersGrid(scheduler="DDPMScheduler", options={"variance_type": "learned_range"}), "solver/ancestral"),
    ],
)
def test_what_cannot_be_done_is_refused(grid, match):
    with pytest.raises(FrisketError, match=match):
        grid.times(5, Gaussian())


def test_another_grid_is_refused():
    with pytest.raises(FrisketError, match="own grid"):
        Sampler(steps=5, update=DiffusersSolver()).sample(
            GaussianDenoiser(Gaussian()), Gaussian(path=VPLinear(), prediction=Eps()), shape=(2,), step=steps(2)
        )

"""Any scheduler of the diffusers library as solver and time grid.

The scheduler keeps its own coefficients, history and time spacing; it is given the estimate in its own prediction type
and returns the next state. A scheduler's discrete step i of N is t = (i + 1) / N on a variance-preserving process with
its betas, and t = sigma for flow matching. States that a scheduler scales (Euler and its kin keep x / alpha) are
scaled back after every move, so corrections and snapshots see the process's own state.
Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import FrisketError, MissingExtra, check
from frisket.core.registry import register
from frisket.processes.base import Estimate, Process
from frisket.sampling.base import Moment

HELD = "solver/diffusers"


@register("grid/diffusers")
@dataclass(frozen=True, kw_only=True)
class DiffusersGrid:
    """The scheduler's own times. scheduler: class name. options: of its constructor. spacing: further arguments of its
    `set_timesteps` (mu, for example)."""

    scheduler: str = "DDIMScheduler"
    options: dict[str, Any] = field(default_factory=dict)
    spacing: dict[str, Any] = field(default_factory=dict)

    def times(self, steps: int, process: Process) -> Float[Tensor, "moves"]:
        times = times_of(self.open(steps))
        if bool((times[1:] >= times[:-1]).any()):
            raise FrisketError(f"{self.scheduler} visits a time twice, which this loop cannot; take another scheduler")
        return torch.cat([times, torch.zeros(1, dtype=torch.float64)])

    def open(self, steps: int) -> Any:
        """The scheduler with its times set."""
        try:
            import diffusers
        except ImportError:
            raise MissingExtra("diffusers", "diffusers", "solver/diffusers") from None
        made = getattr(diffusers, self.scheduler, None) if self.scheduler.endswith("Scheduler") else None
        if made is None:
            raise FrisketError(f"diffusers has no scheduler {self.scheduler!r} (a class name such as DDIMScheduler)")
        scheduler = made(**self.options)
        check("learned" not in str(scheduler.config.get("variance_type")), "scheduler.variance_type",
              scheduler.config.get("variance_type"), "fixed; solver/ancestral takes a learned variance")  # fmt: skip
        scheduler.set_timesteps(steps, **self.spacing)
        return scheduler


@register(HELD)
@dataclass(frozen=True, kw_only=True)
class DiffusersSolver:
    """grid: the same part as the sampler's own grid. options: further arguments of the scheduler's `step` (eta, for
    example). Fresh noise comes from one generator a sample, keyed like every other draw."""

    grid: DiffusersGrid = field(default_factory=DiffusersGrid)
    options: dict[str, Any] = field(default_factory=dict)

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        if HELD not in at.memory:
            at.memory[HELD] = self.grid.open(at.step.total)
        scheduler, index = at.memory[HELD], at.step.index
        times = times_of(scheduler)
        if len(times) != at.step.total or abs(float(times[index]) - float(t[0])) > 1e-9:
            raise FrisketError("solver/diffusers follows its scheduler's times; give the sampler the solver's own grid")
        step = scheduler.timesteps[index]
        state = x / _scale(scheduler, step, x)
        output = _output(scheduler, at.evaluate(x, t))
        options = dict(self.options)
        if "generator" in inspect.signature(scheduler.step).parameters:
            options["generator"] = _generators(at)
        moved = scheduler.step(output, step, state, return_dict=False, **options)[0]
        last = index + 1 == at.step.total
        return moved if last else moved * _scale(scheduler, scheduler.timesteps[index + 1], x)


def times_of(scheduler: Any) -> Float[Tensor, "steps"]:
    """The scheduler's discrete steps as times in (0, 1], float64."""
    count = scheduler.config.num_train_timesteps
    steps = torch.as_tensor(scheduler.timesteps).to(torch.float64).cpu()
    return steps / count if _is_flow(scheduler) else (steps + 1) / count


def _is_flow(scheduler: Any) -> bool:
    return "FlowMatch" in type(scheduler).__name__ or scheduler.config.get("prediction_type") == "flow_prediction"


def _scale(scheduler: Any, step: Tensor, x: Tensor) -> Tensor:
    """Network input over scheduler state."""
    one = torch.ones((), dtype=x.dtype, device=x.device)
    return scheduler.scale_model_input(one, step) if hasattr(scheduler, "scale_model_input") else one


def _output(scheduler: Any, estimate: Estimate) -> Tensor:
    """The estimate in the scheduler's own prediction type."""
    assert estimate.x0 is not None
    assert estimate.noise is not None
    if _is_flow(scheduler):
        return estimate.noise - estimate.x0
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return estimate.noise
    if kind == "sample":
        return estimate.x0
    raise FrisketError(f"scheduler prediction_type {kind!r} is not accepted; set options to 'epsilon' or 'sample'")


def _generators(at: Moment) -> list[torch.Generator]:
    seeds = (at.step.draw("solver/diffusers", (), "uniform") * 2**53).to(torch.int64).tolist()
    return [torch.Generator().manual_seed(seed) for seed in seeds]

"""Official TREAD weights (CompVis/tread dit.py, read for facts): those of a DiT without learned variance.

The route is no part of the weights, so it is a fact: `low` and `high` are the official start and one behind the official
end. Official times are a quarter of the log noise level (EDM).
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from frisket.interop.dit import load_dit, wired
from frisket.interop.official import Taken, official, wires
from frisket.models.backbones.transformer import Transformer
from frisket.models.plans.routing import Routing
from frisket.processes.densities import LogNormal
from frisket.processes.gaussian import Gaussian
from frisket.processes.levels import EDM
from frisket.processes.model_times import LogSNR
from frisket.processes.predictions import Preconditioned
from frisket.sampling.grids import Rho
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.heun import Heun

EDM_PROCESS = Gaussian(path=EDM(), prediction=Preconditioned(), density=LogNormal(), time=LogSNR(scale=-1 / 8))


@official("tread")
def load_tread(
    weights: Taken, /, *, num_heads: int | None = None, input_size: int | None = None, low: int = 2, high: int = -3,
    drop: float = 0.5,
) -> tuple[Transformer, dict[str, Tensor]]:  # fmt: skip
    """num_heads, input_size: as for `dit`. low, high, drop: the route, for further training."""
    config, ours = load_dit(weights, num_heads=num_heads, input_size=input_size)
    return replace(config, plan=Routing(low=low, high=high, drop=drop)), ours


@wires("tread")
def tread_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As trained by the main script: EDM's preconditioning and noise levels, 40 steps of Heun, unguided."""
    return wired(model, EDM_PROCESS, Sampler(steps=40, update=Heun(), grid=Rho()), vae)

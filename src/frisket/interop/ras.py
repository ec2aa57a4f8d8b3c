"""Equality with the official region-adaptive scheduler (microsoft/RAS), replayed on stored network outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError
from frisket.core.step import Step, current_step
from frisket.interop.golden import GOLDEN
from frisket.processes.gaussian import Gaussian
from frisket.sampling.base import Start
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.regions import Regions
from frisket.sampling.solvers.waits import Change

RUNS = {"low": Change(high=0.25), "high": Change(high=1.0), "norm": Change(high=0.5, measure="norm")}
SEEN = (4, 8, 11)  # the moves whose states are stored


class Replay:
    """A network that puts out stored velocities, whatever it is asked, and notes who it was asked for."""

    def __init__(self, outputs: Tensor):
        self.outputs, self.kept = outputs, []

    def __call__(self, x: Tensor, t: Tensor, cond: Any = None, keep: Any = None) -> Output:
        self.kept.append(None if keep is None else keep["blocks[:]"])
        return Output(self.outputs[current_step().index])


def arrays(folder: Path = GOLDEN) -> dict[str, Tensor]:
    """The stored runs. Raises `FrisketError` where they are not at hand."""
    path = folder / "ras.npz"
    if not path.is_file():
        raise FrisketError(f"{path} does not exist; parity is measured in the source tree, which holds the arrays")
    with np.load(path, allow_pickle=False) as held:
        return {key: torch.from_numpy(held[key]) for key in held.files}


def replayed(name: str, held: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor | None]]:
    """Our states after each of the 12 moves of the stored run `name`, and who was computed in each."""
    network, solver = Replay(held["outputs"]), Regions(start=3, resets=(7,), waits=RUNS[name])
    run = Sampler(steps=12, update=solver).run(
        network, Gaussian(), shape=(4, 16, 16), step=Step(seed=0, sample=torch.zeros(1, dtype=torch.int64)),
        start=Start(x=held["start"], t=1.0),
    )  # fmt: skip
    return [snapshot.x for snapshot in run][1:], network.kept


def scheduler_difference(folder: Path = GOLDEN) -> float:
    """The largest absolute difference between our states and the official ones."""
    held = arrays(folder)
    worst = 0.0
    for name in RUNS:
        states, _ = replayed(name, held)
        worst = max(worst, *(float((states[k] - held[f"{name}/states"][i]).abs().max()) for i, k in enumerate(SEEN)))
    return worst

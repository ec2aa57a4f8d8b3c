"""MaskGIT's released decoder against ours, with the same random numbers.

The arrays hold a network (a table of places and the effect of every symbol on every place), ids of which some are known,
uniform numbers for each step and the ids that google-research/maskgit `libml/parallel_decode.py` ends with.
Shapes: t steps, b rows, n tokens, k symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.interop.golden import GOLDEN
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.processes.schedules import Cosine
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.orders import Confidence, Proposed
from frisket.sampling.decoding.selects import Budget, CosineCurve
from frisket.sampling.sampler import Sampler

TEMPERATURE = 4.5


def decode_difference(folder: Path = GOLDEN) -> float:
    """How many ids of our decoder's end differ from the released one's. Raises `FrisketError` without the arrays."""
    path = folder / "maskgit_decode.npz"
    if not path.is_file():
        raise FrisketError(f"{path} does not exist; parity is measured in the source tree, which holds the arrays")
    with np.load(path, allow_pickle=False) as held:
        arrays = {key: torch.from_numpy(held[key]) for key in held.files}
    ids, out = arrays["ids"].to(torch.int64), arrays["out"][:, -1].to(torch.int64)
    decoder = Ordered(
        proposal=Drawn(u=arrays["u1"]), orders=(Confidence(), Noise(u=arrays["u2"])),
        select=Budget(curve=CosineCurve(), least=1, kept=1),
    )  # fmt: skip
    sampler = Sampler(steps=len(arrays["u1"]), update=decoder, corrections=(ImposeKnown(),))
    known = Known(values=ids.clamp(min=0), where=ids >= 0)
    process = Masked(vocabulary=arrays["place"].shape[1], schedule=Cosine())
    step = Step(seed=0, sample=torch.arange(len(ids)))
    made = sampler.sample(Table(arrays), process, shape=tuple(ids.shape[1:]), step=step, known=known)
    return float((made != out).sum())


class Table:
    """Logits (b, n, k): the place's own, and twice the effects of all symbols, the mask's included."""

    def __init__(self, arrays: dict[str, Tensor]):
        self.place, self.reach, self.symbols = arrays["place"], arrays["a"], arrays["c"]

    def __call__(self, x: Int[Tensor, "b n"], t: Any = None, cond: Any = None) -> Output:
        return Output(self.place + 2.0 * torch.einsum("ij,bjv->biv", self.reach, self.symbols[x]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A proposal from stored uniform numbers u (t, b, n, k)."""

    u: Float[Tensor, "t b n k"]

    def propose(self, logits: Float[Tensor, "r n k"], step: Step) -> Int[Tensor, "r n"]:
        return (logits - torch.log(-torch.log(self.u[step.index, step.sample]))).argmax(-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Noise:
    """Gumbel noise on the order from stored uniform numbers u (t, b, n), less and less of it."""

    u: Float[Tensor, "t b n"]

    def score(self, proposed: Proposed) -> Float[Tensor, "r n"]:
        noise = -torch.log(-torch.log(self.u[proposed.step.index, proposed.step.sample]))
        return TEMPERATURE * proposed.s[:, None] * noise

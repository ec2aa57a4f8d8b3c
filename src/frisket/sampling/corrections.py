"""Corrections: changes of the state around the update. Here: the known is imposed again at every move.

Sources: fresh noise at the level of the move as arXiv 2201.09865 (RePaint, with a grid that goes up again) and
2011.13456 (inpainting by replacement). One noise for the whole run, and clean for models trained with clean known
elements, are ours to offer, not theirs.
Shapes: b batch, `*s` the state's shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.processes.known import Known
from frisket.sampling.base import Moment

CITE_REPAINT = (
    "Lugmayr et al. RePaint: Inpainting using Denoising Diffusion Probabilistic Models. 2022. arXiv:2201.09865"
)

HOW = ("clean", "renoise", "same-noise")


@register("correction/impose-known", cite=CITE_REPAINT)
@dataclass(frozen=True, kw_only=True)
class ImposeKnown:
    """how: "clean" shows the known as it is at every time (models trained so; ids); "renoise" corrupts it to the time
    of the state with fresh noise at each move; "same-noise" with one noise for the whole run (for ids: once shown,
    always shown). At t = 0 the known is exactly as given, whatever the way."""

    takes_known: ClassVar[bool] = True
    how: str = "clean"

    def __post_init__(self):
        check(self.how in HOW, "correction.how", self.how, f"one of {', '.join(HOW)}")

    def before(self, x: Tensor, t: Tensor, at: Moment) -> Tensor:
        return x if at.known is None else self._at(at.known, t, at).impose(x)

    def after(self, x: Tensor, s: Tensor, at: Moment) -> Tensor:
        if at.known is None:
            return x
        if self.how == "clean" or bool((s <= 0).all()):
            return at.known.impose(x)
        return x

    def _at(self, known: Known, t: Tensor, at: Moment) -> Known:
        if self.how == "clean":
            return known
        values = known.values
        if self.how == "renoise":
            noise = at.noise(values, "known")
        else:
            fixed = Moment(process=at.process, evaluate=at.evaluate, step=at.step.at(index=0))
            noise = fixed.noise(values, "known")
        corrupted = at.process.corrupt(values, t, noise)
        if corrupted.x_t.shape != values.shape:
            raise FrisketError(f"{type(at.process).__name__} changes the state's shape; impose the known clean")
        return Known(values=corrupted.x_t, where=known.where)


@register("correction/paste")
@dataclass(frozen=True, kw_only=True)
class Paste:
    """The run is left alone; at t = 0 the known elements are put in as given. For models that are shown the known in
    another way (a reference, channels) and need not be held to it."""

    takes_known: ClassVar[bool] = True

    def before(self, x: Tensor, t: Tensor, at: Moment) -> Tensor:
        return x

    def after(self, x: Tensor, s: Tensor, at: Moment) -> Tensor:
        return at.known.impose(x) if at.known is not None and bool((s <= 0).all()) else x

"""How well one model does each of several tasks that differ in what is known of a video.

Shapes: n videos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.completions import KINDS, completed, frames_of, kind_of, known_change, unknown_error
from frisket.evaluation.heldout import heldout_loss
from frisket.sampling.pipeline import Pipeline

MADE = KINDS[:3]  # nothing known: there is no truth to come close to


@register("score/completions")
@dataclass(frozen=True, kw_only=True)
class Completions:
    """KIND_loss: the process's held-out loss on what is not known, on a grid of (t, noise), kinds "predict",
    "interpolate", "complete" and "free". KIND_psnr: decibels of one sample a video against the truth on what is not known,
    data in [0, 1], for the first three. known_change: the largest change of anything given, over all samples; 0 is
    exact. times: of the grid. made: videos that are sampled of each kind, at most."""

    gives: ClassVar[tuple[str, ...]] = (
        *(f"{kind}_loss" for kind in KINDS), *(f"{kind}_psnr" for kind in MADE), "known_change",
    )  # fmt: skip
    times: int = 8
    made: int = 16

    def __post_init__(self):
        check(self.times >= 1, "score.times", self.times, "at least 1")
        check(self.made >= 1, "score.made", self.made, "at least 1")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """All of them on n test videos. Raises `FrisketError` on data that are no videos."""
        frames, out, changes = frames_of(data), {}, []
        for kind in KINDS:
            loss = heldout_loss(
                pipeline.model, pipeline.process, pipeline.coder, data.open("test"), n=n, times=self.times, seed=seed,  # type: ignore[arg-type]
                device=str(pipeline.device), known=kind_of(kind, frames),
            )  # fmt: skip
            out[f"{kind}_loss"] = loss.mean.value
        for kind in MADE:
            one = completed(pipeline, data, kind_of(kind, frames), min(n, self.made), seed)
            out[f"{kind}_psnr"] = -10 * math.log10(float(unknown_error(one).mean()))
            changes.append(known_change(one))
        return out | {"known_change": max(changes)}

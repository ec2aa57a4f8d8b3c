"""Moves of a sampler that change nothing, and the text it makes all the same.

A masked state that is revealed in few large pieces stands still in many moves; partial masking (arXiv 2505.18495) is
meant to have fewer of them. sample_bits asks an independent model (characters counted in the training text,
`data/witten_bell`); real held-out text is its level to reach, and lower is not better without end.
Shapes: b samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch

from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.scores.written import judged_bits
from frisket.sampling.pipeline import Pipeline

BATCH = 64


@register("score/idle")
@dataclass(frozen=True, kw_only=True)
class Idle:
    """idle: share of the moves in which a sample stays as it is. sample_bits: bits a character of n samples under the
    judge."""

    gives: ClassVar[tuple[str, ...]] = ("idle", "sample_bits")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """Raises `FrisketError` on data that are no text."""
        still, moves, texts = 0, 0, []
        for low in range(0, n, BATCH):
            shots = pipeline.snapshots(min(BATCH, n - low), seed=seed, first=low)
            states: list[Any] = [shot.x for shot in shots]
            same = torch.stack([(a == b).flatten(1).all(1) for a, b in pairwise(states)])
            still, moves = still + int(same.sum()), moves + same.numel()
            texts += pipeline.decode(states[-1])
        return {"idle": still / moves, "sample_bits": judged_bits(data, texts)}

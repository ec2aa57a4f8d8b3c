"""Untrained pipelines that tell small stories."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from frisket.evaluation.stories import Tales, tales
from frisket.experiments.system import build
from frisket.recipes import mask2dit
from frisket.testing.backbones import stir

FILM = mask2dit.stories(mask2dit.network(16, 1), 4, (1, 1)).data
TALES: Tales = tales(FILM, 2)


@cache
def pipeline(scenes: int):
    mixer = mask2dit.DENSE if scenes == 1 else mask2dit.MASKED
    experiment = mask2dit.stories(mask2dit.network(16, 1, mixer, scenes), 4, (1, 1), scenes).start
    made = build(experiment.fit())[1]
    stir(made.model, 0.3)
    made.sampler = replace(made.sampler, steps=2)
    return made

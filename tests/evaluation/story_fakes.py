"""Untrained pipelines that tell small stories, and a reader that knows nothing, in place of one that takes long to
train."""

from __future__ import annotations

from functools import cache

import pytest

from frisket.data.scenes.shot_judge import ShotReader
from frisket.data.scenes.stories import Stories
from frisket.evaluation import stories
from frisket.evaluation.stories import Tales, tales
from frisket.experiments.system import build
from frisket.recipes import mask2dit
from frisket.testing.backbones import stir

FILM = Stories(size=(16, 16), shots=3, frames=mask2dit.FRAMES, dial=mask2dit.CAST)
TALES: Tales = tales(FILM, 2)


@cache
def pipeline(scenes: int):
    experiment = mask2dit.stories(mask2dit.network(16, 1, scenes=scenes), 4, (1, 1), scenes).start
    made = build(experiment.fit())[1]
    stir(made.model, 0.3)
    return made


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    monkeypatch.setattr(stories, "shot_reader", ShotReader)

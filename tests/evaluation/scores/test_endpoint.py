"""Distance to where the flow leads."""

from __future__ import annotations

import pytest
import torch

from frisket.caching.kept_keys import KeptKeys
from frisket.codecs.pixels import Pixels
from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.evaluation.scores.endpoint import Endpoint
from frisket.models.backbones.transformer import Transformer
from frisket.models.layers.ends import Patches
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.regions import Regions
from frisket.testing import check_config
from frisket.testing.backbones import stir


def pipeline(**sampler):
    info = Info(kind="image", shape=(3, 4, 4), classes=("a", "b"))
    codec, process = Pixels(), Gaussian()
    config = Transformer(width=16, heads=2, input=Patches(patch=1)).with_depth(2)
    model = config.fit(codec.build().spec(info), process.outputs(3), {"label": 2}).build()
    stir(model, 0.1)
    return Pipeline(model, process, codec, Sampler(**sampler), info)


def test_the_run_itself_has_no_distance_and_more_steps_come_closer():
    check_config(Endpoint())
    score = Endpoint(steps=12)
    exact, few, many = (score.take(pipeline(steps=n, guidance=cfg(2.0)), None, 5, 0) for n in (12, 2, 6))
    assert exact["endpoint_distance"] == 0
    assert few["endpoint_distance"] > many["endpoint_distance"] > 0
    assert [s["endpoint_forwards"] for s in (exact, few, many)] == [24, 4, 12]


def test_sparse_steps_count_for_what_they_compute():
    update = Regions(patch=1, start=2, resets=())
    score = Endpoint(steps=12).take(pipeline(steps=6, update=update, caches=(KeptKeys(),)), None, 3, 0)
    assert 2 + 4 * 0.5 < score["endpoint_forwards"] < 6
    assert torch.isfinite(torch.tensor(score["endpoint_distance"]))


def test_no_steps_are_refused():
    with pytest.raises(FrisketError, match=r"score\.steps"):
        Endpoint(steps=0)

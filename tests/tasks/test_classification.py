"""The classification task: the loss, and an encoder that learns."""

from __future__ import annotations

import pytest
import torch
from small_models import pipeline

from frisket.codecs.pixels import Pixels
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.models.backbones.patch_encoder import PatchEncoder
from frisket.recipes.repa import encoder
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.classification import Classification
from frisket.testing import check_config

BATCH = Digits().open("train").batch(torch.arange(6))
STEP = Step(seed=1, sample=torch.arange(6), index=0, total=4)


def held(classes=10):
    codec, info = Pixels(), Digits().open("train").info
    config = PatchEncoder(width=8, depth=1).fit(codec.spec(info), 1, {"label": classes})
    return Pipeline(config.build(), None, codec, None, info)


def test_the_loss_is_cross_entropy_of_the_shifted_image():
    check_config(Classification())
    pipe = held()
    still = Classification(shift=0).build(pipe)
    found = still(BATCH, STEP)
    logits = pipe.model(BATCH["x"] * 2 - 1).pred
    torch.testing.assert_close(found["classes"], torch.nn.functional.cross_entropy(logits, BATCH["label"]))
    moved = Classification(shift=1).build(pipe)(BATCH, STEP)
    assert moved["classes"] != found["classes"]
    assert moved["classes"] == Classification(shift=1).build(pipe)(BATCH, STEP)["classes"]


def test_what_has_no_classes_is_refused():
    with pytest.raises(FrisketError, match="classes of the model = 7"):
        Classification().build(held(7))
    pipe = held()
    pipe.info = Info(kind="image", shape=(1, 8, 8))
    with pytest.raises(FrisketError, match="classes of the data"):
        Classification().build(pipe)
    with pytest.raises(FrisketError, match="classes of the model = None"):
        Classification().build(pipeline())
    with pytest.raises(FrisketError, match=r"task\.shift"):
        Classification(shift=-1)


def test_the_encoder_of_the_recipe_learns_digits(tmp_path):
    from frisket.experiments.system import train

    trained = train(encoder(Digits(), 2, steps=60), tmp_path / "run", quiet=True)
    test = Digits().open("test").batch(torch.arange(200))
    with torch.no_grad():
        right = trained.model(trained.coder.encode(test["x"])).pred.argmax(1) == test["label"]
    assert right.double().mean() > 0.6
    assert trained.model.features(trained.coder.encode(test["x"])).shape == (200, 16, 48)

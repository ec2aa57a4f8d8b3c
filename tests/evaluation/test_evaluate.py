import json

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.evaluation.evaluate import evaluate, items, measure_named, score
from frisket.evaluation.features.classifier import Classifier
from frisket.evaluation.features.pixels import PixelFeatures
from frisket.evaluation.measures import ClassAccuracy, InceptionScore

QUICK = Classifier(steps=80, width=8)
TRAIN = Digits().open("train")


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRISKET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def memory(step, cond):
    """Repeats training images, of the class asked for if there is one."""
    if cond is None:
        return TRAIN.images[step.sample % len(TRAIN.images)]
    pools = [(TRAIN.labels == y).nonzero()[:, 0] for y in cond.values["label"].tolist()]
    return torch.stack([TRAIN.images[p[i % len(p)]] for p, i in zip(pools, step.sample.tolist(), strict=True)])


def noise(step, cond):
    return step.draw("x", (1, 8, 8), "uniform").float()


def test_memory_reaches_the_floor_and_noise_does_not():
    good = evaluate(memory, Digits(), n=200, features=QUICK, label="label", resamples=20)
    bad = evaluate(noise, Digits(), n=200, features=QUICK, label="label", resamples=20)
    for name, entry in good["metrics"].items():
        assert entry["low"] <= entry["value"] <= entry["high"], name
    for name in ("frechet", "kid"):
        assert bad["metrics"][name]["low"] > 3 * good["metrics"][name]["value"]
        assert good["metrics"][name]["low"] <= good["metrics"][name]["floor"] <= good["metrics"][name]["high"]
    assert bad["metrics"]["precision"]["value"] < 0.2 < good["metrics"]["precision"]["value"]
    assert good["metrics"]["class_accuracy"]["value"] > 0.8 > bad["metrics"]["class_accuracy"]["value"]
    assert good["metrics"]["class_accuracy"]["floor"] == pytest.approx(good["feature_accuracy"])
    assert good["n"] == 200 == good["n_floor"]
    json.dumps(good, allow_nan=False)


def test_batches_change_nothing():
    one = evaluate(noise, Digits(), n=30, features=PixelFeatures(), resamples=20, batch=30)
    many = evaluate(noise, Digits(), n=30, features=PixelFeatures(), resamples=20, batch=7)
    assert one == many
    assert one != evaluate(noise, Digits(), n=30, features=PixelFeatures(), resamples=20, seed=1)


def test_features_decide_which_measures_are_taken():
    found = evaluate(noise, Digits(), n=20, features=PixelFeatures(), resamples=20)
    assert set(found["metrics"]) == {"frechet", "kid", "precision", "recall"}
    assert found["feature_accuracy"] is None


def test_real_samples_score_as_the_floor():
    order = items(TRAIN, 100, shuffle=5)["x"]
    found = score(order, Digits(), features=PixelFeatures(), seed=5, resamples=20)
    for name in ("frechet", "kid", "precision", "recall"):
        assert found["metrics"][name]["value"] == pytest.approx(found["metrics"][name]["floor"])


def test_floor_says_when_it_has_fewer_items():
    found = evaluate(noise, Digits(), n=1500, features=PixelFeatures(), measures=[measure_named("frechet")],
                     resamples=20)  # fmt: skip
    assert found["n"] == 1500
    assert found["n_floor"] == TRAIN.info.size < 1500


def never(step, cond):
    raise AssertionError("no sample may be made")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"measures": [InceptionScore()], "features": PixelFeatures()}, "no class probabilities"),
        ({"measures": [ClassAccuracy()], "features": QUICK}, "not asked for classes"),
        ({"measures": []}, "at least one"),
        ({"n": 1}, "at least 2"),
    ],
)
def test_refuses_before_sampling(options, match):
    with pytest.raises(FrisketError, match=match):
        evaluate(never, Digits(), **options)


def test_refuses_samples_of_another_shape_and_unknown_names():
    with pytest.raises(FrisketError, match="as the data is"):
        score(torch.zeros(5, 1, 4, 4), Digits(), features=PixelFeatures())
    with pytest.raises(FrisketError, match="frechet"):
        measure_named("freshet")


def test_shuffled_items_are_distinct():
    ids = items(TRAIN, 300, shuffle=1)["id"]
    assert len(set(ids.tolist())) == 300
    assert ids.tolist() != list(range(300))

import json

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.step import Step
from frisket.data.digits import Digits
from frisket.evaluation.evaluate import evaluate, items, metric_named, score
from frisket.evaluation.features.classifier import Classifier
from frisket.evaluation.features.pixels import PixelFeatures
from frisket.evaluation.metrics.parts import ClassAccuracy, InceptionScore

QUICK = Classifier(steps=80, width=8)
TRAIN = Digits().open("train")


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRISKET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class Memory:
    """Repeats training images, of the class asked for if there is one."""

    def sample(self, n, *, seed=0, batch=64, label=None):
        if label is None:
            return TRAIN.images[torch.arange(n) % len(TRAIN.images)]
        pools = [(TRAIN.labels == y).nonzero()[:, 0] for y in label.tolist()]
        return torch.stack([TRAIN.images[p[i % len(p)]] for i, p in enumerate(pools)])


class Noise:
    def sample(self, n, *, seed=0, batch=64, label=None):
        return Step(seed=seed, sample=torch.arange(n)).draw("x", (1, 8, 8), "uniform").float()


class Never:
    def sample(self, n, **options):
        raise AssertionError("no sample may be made")


class Words:
    def sample(self, n, **options):
        return ["word"] * n


def test_memory_reaches_the_floor_and_noise_does_not():
    good = evaluate(Memory(), Digits(), n=200, features=QUICK, label="label", resamples=20)
    bad = evaluate(Noise(), Digits(), n=200, features=QUICK, label="label", resamples=20)
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


def test_seeds_and_options_reach_the_pipeline():
    one = evaluate(Noise(), Digits(), n=30, features=PixelFeatures(), resamples=20)
    assert one == evaluate(Noise(), Digits(), n=30, features=PixelFeatures(), resamples=20)
    assert one != evaluate(Noise(), Digits(), n=30, features=PixelFeatures(), resamples=20, seed=1)
    with pytest.raises(TypeError, match="guidance"):
        evaluate(Noise(), Digits(), n=30, features=PixelFeatures(), resamples=20, guidance=2.0)


def test_texts_are_refused():
    with pytest.raises(FrisketError, match="tensor"):
        evaluate(Words(), Digits(), n=3, features=PixelFeatures())


def test_features_decide_which_metrics_are_taken():
    found = evaluate(Noise(), Digits(), n=20, features=PixelFeatures(), resamples=20)
    assert set(found["metrics"]) == {"frechet", "kid", "precision", "recall"}
    assert found["feature_accuracy"] is None


def test_real_samples_score_as_the_floor():
    order = items(TRAIN, 100, shuffle=5)["x"]
    found = score(order, Digits(), features=PixelFeatures(), seed=5, resamples=20)
    for name in ("frechet", "kid", "precision", "recall"):
        assert found["metrics"][name]["value"] == pytest.approx(found["metrics"][name]["floor"])


def test_floor_says_when_it_has_fewer_items():
    found = evaluate(Noise(), Digits(), n=1500, features=PixelFeatures(), metrics=[metric_named("frechet")],
                     resamples=20)  # fmt: skip
    assert found["n"] == 1500
    assert found["n_floor"] == TRAIN.info.size < 1500


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"metrics": [InceptionScore()], "features": PixelFeatures()}, "no class probabilities"),
        ({"metrics": [ClassAccuracy()], "features": QUICK}, "not asked for classes"),
        ({"metrics": []}, "at least one"),
        ({"n": 1}, "at least 2"),
    ],
)
def test_refuses_before_sampling(options, match):
    with pytest.raises(FrisketError, match=match):
        evaluate(Never(), Digits(), **options)


def test_refuses_samples_of_another_shape_and_unknown_names():
    with pytest.raises(FrisketError, match="as the data is"):
        score(torch.zeros(5, 1, 4, 4), Digits(), features=PixelFeatures())
    with pytest.raises(FrisketError, match="frechet"):
        metric_named("freshet")


def test_shuffled_items_are_distinct():
    ids = items(TRAIN, 300, shuffle=1)["id"]
    assert len(set(ids.tolist())) == 300
    assert ids.tolist() != list(range(300))

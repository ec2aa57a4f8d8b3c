from dataclasses import dataclass

import pytest
import torch

from frisket.core import FrisketError, from_config, to_config
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.evaluation.features.classifier import Classifier, network, shifted

QUICK = Classifier(steps=12, width=4)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FRISKET_CACHE", str(tmp_path))


def test_default_is_nearly_always_right_on_digits():
    extractor = Classifier().build(Digits())
    assert extractor.accuracy >= 0.98
    batch = Digits().open("test").batch(torch.arange(300))
    features, probabilities = extractor(batch["x"])
    assert features.shape == (300, 64)
    assert torch.allclose(probabilities.sum(1), torch.ones(300), atol=1e-5)
    assert (probabilities.argmax(1) == batch["label"]).double().mean() >= 0.97


def test_training_repeats_and_the_cache_gives_the_same(tmp_path):
    x = torch.rand(4, 1, 8, 8)
    first = QUICK.build(Digits())
    file = QUICK.path(Digits().open("train").info)
    assert file.is_file()
    again = QUICK.build(Digits())
    assert torch.equal(first(x)[0], again(x)[0])
    assert first.accuracy == again.accuracy
    file.unlink()
    retrained = QUICK.build(Digits())
    assert torch.allclose(first(x)[0], retrained(x)[0], atol=1e-5)


def test_other_seeds_halves_and_data_have_their_own_file():
    info = Digits().open("train").info
    other = Info(kind="image", shape=info.shape, size=info.size, classes=info.classes, digest="0" * 12)
    paths = {QUICK.path(info), QUICK.path(other), Classifier(steps=12, width=4, seed=1).path(info),
             Classifier(steps=12, width=4, half="odd").path(info)}  # fmt: skip
    assert len(paths) == 4


@pytest.mark.parametrize(("half", "rest"), [("even", 0), ("odd", 1)])
def test_halves_share_no_item_and_epochs_visit_every_item(half, rest):
    order = Classifier(steps=5, batch=20, half=half)._order(51)
    assert set((order % 2).tolist()) == {rest}
    count = 26 - rest
    assert sorted(order[:count].tolist()) == list(range(rest, 51, 2))
    assert order[:count].tolist() != order[count : 2 * count].tolist()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 20), (1, 3, 3), (2, 50), (7,)])
def test_network_fits_any_array(shape):
    model = network(shape, 5, 4, seed=0)
    assert model(torch.rand(2, *shape)).shape == (2, 5)
    assert model[:-1](torch.rand(2, *shape)).shape == (2, 16)


def test_shifts_move_whole_images_and_zero_moves_nothing():
    step = Step(seed=0, sample=torch.arange(200))
    x = torch.zeros(200, 1, 5, 5)
    x[:, :, 2, 2] = 1.0
    moved = shifted(x, step, 1)
    places = {tuple(p) for p in moved[:, 0].nonzero()[:, 1:].tolist()}
    assert places == {(i, j) for i in (1, 2, 3) for j in (1, 2, 3)}
    assert torch.equal(moved.flatten(1).sum(1), torch.ones(200))
    assert torch.equal(shifted(x, step, 0), x)


@dataclass(frozen=True)
class Nameless:
    classes: tuple[str, ...] = ()
    shape: tuple[int, ...] = (1, 8, 8)

    def open(self, split="train"):
        source = type("Source", (), {})()
        source.info = Info(kind="image", shape=self.shape, size=4, classes=self.classes)
        return source


def test_refuses_sets_without_classes_or_arrays():
    with pytest.raises(FrisketError, match="no class labels"):
        Classifier().build(Nameless())
    with pytest.raises(FrisketError, match="not arrays"):
        Classifier().build(Nameless(classes=("a", "b"), shape=()))
    with pytest.raises(FrisketError, match=r"features\.width"):
        Classifier(width=0)


def test_round_trip():
    part = Classifier(seed=3, half="odd")
    assert from_config(to_config(part)) == part

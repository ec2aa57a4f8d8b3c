import pytest
import torch
from jaxtyping import TypeCheckError

from frisket.core import FrisketError
from frisket.data.digits import Digits


def test_the_splits_cover_all_images_once():
    train, test = Digits().open("train"), Digits().open("test")
    assert train.info.size + test.info.size == 1797
    assert test.info.size == 359
    images = torch.cat([s.batch(torch.arange(s.info.size))["x"] for s in (train, test)])
    from sklearn.datasets import load_digits

    whole = torch.from_numpy(load_digits().images).float().flatten(1) / 16
    assert torch.equal(images.flatten(1).sum(0), whole.sum(0))
    rows = [{tuple(x.tolist()) for x in s.batch(torch.arange(s.info.size))["x"].flatten(1)} for s in (train, test)]
    assert not rows[0] & rows[1]


def test_range_labels_and_digest():
    train, test = Digits().open("train"), Digits().open("test")
    batch = train.batch(torch.arange(train.info.size))
    assert batch["x"].shape == (1438, *train.info.shape)
    assert batch["x"].dtype == torch.float32
    assert batch["x"].min() == 0
    assert batch["x"].max() == 1
    assert batch["label"].unique().tolist() == list(range(len(train.info.classes)))
    assert train.info.digest == Digits().open("train").info.digest != test.info.digest


def test_an_item_does_not_depend_on_its_batch():
    source = Digits().open()
    ids = torch.tensor([7, 3, 7])
    batch = source.batch(ids)
    assert torch.equal(batch["id"], ids)
    assert torch.equal(batch["x"][0], batch["x"][2])
    assert torch.equal(batch["x"][1], source.batch(torch.tensor([3]))["x"][0])


def test_an_unknown_split_is_refused():
    with pytest.raises((FrisketError, TypeCheckError), match="'valid'"):
        Digits().open("valid")  # type: ignore[arg-type]

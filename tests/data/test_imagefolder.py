import logging

import pytest
import torch
from PIL import Image

from frisket.core import FrisketError
from frisket.data.imagefolder import ImageFolder


def paint(folder, names, size=(10, 8)):
    for k, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (k * 5, 100, 200)).save(path)


def test_class_folders_give_labels_and_order_is_that_of_the_paths(tmp_path):
    paint(tmp_path, [f"{c}/{n}.png" for c in ("dog", "cat") for n in range(10)])
    train = ImageFolder(target=str(tmp_path), size=4).open()
    test = ImageFolder(target=str(tmp_path), size=4).open("test")
    assert train.info.classes == test.info.classes == ("cat", "dog")
    assert (train.info.size, test.info.size) == (18, 2)
    assert train.info.shape == (3, 4, 4)
    batch = train.batch(torch.tensor([0, 17, 8]))
    assert batch["label"].tolist() == [0, 1, 0]
    assert batch["x"].shape == (3, 3, 4, 4)
    # cat/0 was the eleventh painted, dog/8 the ninth
    assert torch.allclose(batch["x"][:2, 0, 0, 0] * 255, torch.tensor([50.0, 40.0]))
    assert not set(train.files) & set(test.files)


def test_a_flat_folder_has_no_labels(tmp_path):
    paint(tmp_path, [f"{n}.jpg" for n in range(10)])
    source = ImageFolder(target=str(tmp_path), channels=1, size=8).open()
    batch = source.batch(torch.arange(9))
    assert "label" not in batch
    assert source.info.classes == ()
    assert batch["x"].shape == (9, 1, 8, 8)


def test_train_and_test_folders_are_the_splits_and_share_class_numbers(tmp_path):
    paint(tmp_path, ["train/a/0.png", "train/b/0.png", "train/c/0.png", "test/c/0.png"])
    train, test = (ImageFolder(target=str(tmp_path), size=4).open(s) for s in ("train", "test"))
    assert (train.info.size, test.info.size) == (3, 1)
    assert test.batch(torch.tensor([0]))["label"].tolist() == [2]


def test_broken_pictures_are_replaced_by_the_next_reported_and_limited(tmp_path, caplog):
    paint(tmp_path, [f"{n:02}.png" for n in range(20)])
    for n in (3, 4, 18):
        (tmp_path / f"{n:02}.png").write_bytes(b"broken")
    source = ImageFolder(target=str(tmp_path), size=4).open()
    with caplog.at_level(logging.WARNING, "frisket.data"):
        batch = source.batch(torch.tensor([3, 17, 0, 3]))
    names = [source.files[i].name for i in batch["id"].tolist()]
    assert names == ["05.png", "00.png", "00.png", "05.png"]
    assert torch.equal(batch["x"][0], source.batch(torch.tensor([5]))["x"][0])
    assert len(caplog.records) == 3
    assert "03.png" in caplog.text
    strict = ImageFolder(target=str(tmp_path), size=4, skip_limit=1).open()
    with pytest.raises(FrisketError, match=r"2 broken items .*04\.png"):
        strict.batch(torch.tensor([3]))


def test_nothing_readable_is_an_error(tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(b"broken")
    with pytest.raises(FrisketError, match="no picture"):
        ImageFolder(target=str(tmp_path)).open().batch(torch.tensor([0]))


def test_useless_folders_are_refused_in_one_line(tmp_path):
    with pytest.raises(FrisketError, match="does not exist"):
        ImageFolder(target=str(tmp_path / "gone")).open()
    with pytest.raises(FrisketError, match="holds no file"):
        ImageFolder(target=str(tmp_path)).open()
    paint(tmp_path, ["a.png"])
    with pytest.raises(FrisketError, match="too few pictures for a test split"):
        ImageFolder(target=str(tmp_path)).open("test")
    paint(tmp_path, ["cat/a.png"])
    with pytest.raises(FrisketError, match="both beside and inside"):
        ImageFolder(target=str(tmp_path)).open()
    with pytest.raises(FrisketError, match=r"data\.channels = 2"):
        ImageFolder(target="x", channels=2)

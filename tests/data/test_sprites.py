"""Layered sprites: exact truths of other tops, regions that tell nothing of the top, splits of tops, refusals."""

import numpy as np
import pytest
import torch
from PIL import Image

from frisket.core import FrisketError
from frisket.data.sprites import CELL, COLUMNS, LAYERS, ROWS, TINTS, Sprites
from frisket.testing import check_data

BOXES = {  # rows and columns of a cell that each layer covers
    "body": (16, 60, 20, 44), "eyes": (20, 22, 26, 38), "shoes": (56, 60, 20, 44), "bottomwear": (44, 58, 22, 42),
    "topwear": (28, 46, 18, 46), "hair": (12, 30, 22, 42),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sheets of flat boxes, in every cell moved a little by its place, the tops of differing length."""
    root = tmp_path_factory.mktemp("sprites")
    for k, layer in enumerate(LAYERS):
        (root / layer).mkdir()
        for number in range(4 if layer == "topwear" else 2):
            sheet = np.zeros((ROWS, CELL, COLUMNS, CELL, 4), dtype=np.uint8)
            top, bottom, left, right = BOXES[layer]
            for row in range(ROWS):
                sheet[row, top : bottom - 3 * number, :, left + row % 3 : right + row % 3] = (
                    40 * k, 250 - 60 * number, 90 + 30 * number, 255,
                )  # fmt: skip
            Image.fromarray(sheet.reshape(ROWS * CELL, COLUMNS * CELL, 4)).save(root / layer / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def source(folder):
    return Sprites(target=str(folder)).open("train")


def test_it_keeps_the_promises_of_a_set(folder):
    check_data(Sprites(target=str(folder)), splits=0)
    with pytest.raises(FrisketError, match="ids"):
        Sprites(target=str(folder)).open().batch(torch.tensor([-1]))


def test_a_swap_changes_the_region_alone_and_its_truth_is_the_other_top(source):
    ids = torch.arange(24)
    worn, other = source.batch(ids), source.swap(ids, ids + 7)
    assert torch.equal(worn["region"], other["region"])
    assert torch.equal(worn["person"], other["person"])
    assert torch.equal(worn["x"].masked_fill(worn["region"], 0), other["x"].masked_fill(worn["region"], 0))
    assert torch.equal(other["garment"], source.batch(ids + 7)["garment"])
    differ = (worn["garment"] != other["garment"]).flatten(1).any(1)
    assert differ.sum() > 12
    assert ((worn["x"] != other["x"]).flatten(1).any(1) == differ).all()


def test_layers_lie_on_each_other(source):
    """Hair in front of the top, the top in front of the body."""
    batch = source.batch(torch.arange(16))
    x, hair = batch["x"], LAYERS.index("hair") * 40 / 255
    assert torch.allclose(x[:, 0, 10, 16], torch.tensor(hair))
    assert not batch["region"][:, 0, 10, 16].any()
    assert batch["region"][:, 0, 18, 16].all()
    assert (batch["person"][:, :, 18, 16] == 0.5).all()


def test_test_tops_are_never_trained_on(folder):
    train, test = (Sprites(target=str(folder)).open(split) for split in ("train", "test"))
    assert not set(train.tops.tolist()) & set(test.tops.tolist())
    assert len(train.tops) + len(test.tops) == 4 * len(TINTS)
    assert train.info.digest != test.info.digest
    assert train.info.classes == ("0", "1")


@pytest.mark.parametrize("size", [16, 32, 64])
def test_sizes(folder, size):
    batch = Sprites(target=str(folder), size=size).open("test").batch(torch.arange(3))
    assert {batch[name].shape[-1] for name in ("x", "garment", "person", "region")} == {size}
    assert 0 <= batch["x"].min() <= batch["x"].max() <= 1


def test_bad_folders_and_sheets_are_named(folder, tmp_path):
    with pytest.raises(FrisketError, match="size"):
        Sprites(target=str(folder), size=24)
    with pytest.raises(FrisketError, match="body"):
        Sprites(target=str(tmp_path)).open()
    for layer in LAYERS:
        (tmp_path / layer).mkdir()
        Image.new("RGBA", (64, 64)).save(tmp_path / layer / "0.png")
    with pytest.raises(FrisketError, match="832"):
        Sprites(target=str(tmp_path)).open()
    (tmp_path / "body" / "0.png").write_text("no picture")
    with pytest.raises(FrisketError, match="cannot be read"):
        Sprites(target=str(tmp_path)).open()

"""Sheets of images: places, whole factors, and what can be a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frisket.core import FrisketError
from frisket.evaluation.pictures import save_picture, save_sheet, sheet


@given(
    n=st.integers(1, 7),
    columns=st.integers(1, 5),
    side=st.integers(1, 40),
    gap=st.integers(0, 3),
    c=st.sampled_from([1, 3]),
)
def test_every_image_lies_in_its_place_enlarged_without_blur(n, columns, side, gap, c):
    images = torch.arange(n * c * side * side).reshape(n, c, side, side) / (n * c * side * side)
    factor = 64 // side
    made = sheet(images, columns, gap)
    rows = -(-n // columns)
    pitch = side * factor + gap
    assert made.shape == (c, rows * pitch - gap, columns * pitch - gap)
    for i in range(n):
        top, left = i // columns * pitch, i % columns * pitch
        assert torch.equal(made[:, top : top + side * factor : factor, left : left + side * factor : factor], images[i])
    empty = rows * columns - n
    if empty:
        assert (made[:, -side * factor :, -side * factor :] == 1).all()


def test_large_images_are_not_enlarged_and_rows_are_square_by_default():
    assert sheet(torch.zeros(5, 3, 100, 80)).shape == (3, 2 * 100 + 2, 3 * 80 + 4)


def test_no_images_are_refused():
    with pytest.raises(FrisketError, match="at least one"):
        sheet(torch.zeros(0, 1, 8, 8))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_keeps_every_byte(channels, tmp_path):
    values = torch.arange(channels * 64, dtype=torch.uint8).reshape(channels, 8, 8)
    save_picture(tmp_path / "deep" / "a.png", values.float() / 255)
    with Image.open(tmp_path / "deep" / "a.png") as file:
        found = np.asarray(file).reshape(8, 8, channels)
    assert np.array_equal(found, values.permute(1, 2, 0).numpy())


def test_values_outside_are_clamped(tmp_path):
    save_sheet(tmp_path / "a.png", torch.tensor([-3.0, 9.0]).reshape(1, 1, 1, 2).expand(1, 1, 2, 2))
    with Image.open(tmp_path / "a.png") as file:
        assert sorted(set(np.asarray(file).flatten().tolist())) == [0, 255]


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(FrisketError, match=r"\(1 or 3, h, w\)"):
        save_picture(tmp_path / "a.png", torch.zeros(4, 8, 8))
    assert list(tmp_path.iterdir()) == []

import io

import numpy as np
import pytest
import torch
from PIL import Image

from frisket.core import FrisketError
from frisket.data.images import Broken, check_image, fit, read_image


def png(image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_pixels_of_the_right_size_come_through_exactly():
    values = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    x = read_image(png(Image.fromarray(values)), 6, 3)
    assert torch.equal((x * 255).round().to(torch.uint8).permute(1, 2, 0), torch.from_numpy(values))


def test_the_centre_is_cut_out():
    values = np.zeros((4, 12), dtype=np.uint8)
    values[:, 4:8] = 255
    assert read_image(png(Image.fromarray(values)), 4, 1).eq(1).all()
    assert fit(Image.fromarray(values.T.copy()), 4, 1).eq(1).all()


def test_a_flat_colour_survives_resizing_in_every_channel_count():
    image = Image.new("RGB", (30, 50), (255, 0, 51))
    assert torch.allclose(read_image(png(image), 8, 3)[:, 0, 0], torch.tensor([1, 0, 0.2]), atol=1e-6)
    assert read_image(png(image), 8, 1).shape == (1, 8, 8)
    assert read_image(png(image), 8, 4)[3].eq(1).all()


def test_sixteen_bit_grey_is_scaled():
    values = np.full((5, 5), 32896, dtype=np.uint16)
    assert read_image(png(Image.fromarray(values)), 5, 1)[0, 0, 0].item() == pytest.approx(128 / 255)


def test_what_is_no_picture_is_broken(tmp_path):
    whole = png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)))
    for data in (b"", b"no picture", whole[:200], whole[:-40]):
        with pytest.raises(Broken):
            read_image(data, 8, 1)
    with pytest.raises(Broken):
        read_image(tmp_path / "gone.png", 8, 1)


def test_a_picture_that_unpacks_to_gigabytes_is_broken(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Broken, match="exceeds limit"):
        read_image(png(Image.new("L", (50, 50))), 8, 1)


def test_sizes_and_channels_are_checked():
    with pytest.raises(FrisketError, match=r"data\.channels = 2"):
        check_image(8, 2)
    with pytest.raises(FrisketError, match=r"data\.size = 0"):
        check_image(0, 3)

import numpy as np
import pytest
import torch
from PIL import Image

from frisket.core.errors import FrisketError
from frisket.evaluation.pictures import save_picture, save_sheet, sheet


def test_images_lie_in_rows_with_white_between():
    images = torch.stack([torch.full((1, 2, 3), k / 10) for k in range(3)])
    out = sheet(images, gap=1, least=3)
    assert out.shape == (1, 5, 7)
    assert torch.equal(out[:, :2, :3], images[0])
    assert torch.equal(out[:, :2, 4:], images[1])
    assert torch.equal(out[:, 3:, :3], images[2])
    assert (out[:, 2] == 1).all()
    assert (out[:, 3:, 4:] == 1).all()


def test_small_images_grow_by_whole_factors_and_large_ones_stay():
    small, large = torch.rand(1, 1, 8, 8), torch.rand(1, 3, 70, 50)
    assert sheet(small).shape == (1, 64, 64)
    assert torch.equal(sheet(small)[:, ::8, ::8], small[0])
    assert torch.equal(sheet(large), large[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_holds_the_pixels(tmp_path, channels):
    image = torch.rand(channels, 4, 5, generator=torch.Generator().manual_seed(0))
    save_picture(tmp_path / "a" / "b.png", image)
    held = np.asarray(Image.open(tmp_path / "a" / "b.png")).reshape(4, 5, channels)
    assert np.array_equal(held, (image.permute(1, 2, 0) * 255).round().numpy())


def test_what_is_no_image_is_refused(tmp_path):
    with pytest.raises(FrisketError, match="1 or 3"):
        save_picture(tmp_path / "a.png", torch.rand(2, 4, 4))
    with pytest.raises(FrisketError, match="at least one"):
        save_sheet(tmp_path / "a.png", torch.rand(0, 1, 4, 4))
    assert not list(tmp_path.iterdir())

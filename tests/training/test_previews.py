import numpy as np
import pytest
import torch
from PIL import Image

from frisket.core.errors import FrisketError
from frisket.core.files import load_tensors
from frisket.training.previews import sheet, write_preview


def test_images_lie_in_rows_with_white_between():
    images = torch.stack([torch.full((1, 2, 3), k / 10) for k in range(3)])
    out = sheet(images)
    assert out.shape == (1, 5, 7)
    assert torch.equal(out[:, :2, :3], images[0])
    assert torch.equal(out[:, :2, 4:], images[1])
    assert torch.equal(out[:, 3:, :3], images[2])
    assert (out[:, 2] == 1).all()
    assert (out[:, 3:, 4:] == 1).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_images_become_a_png(tmp_path, channels):
    images = torch.rand(1, channels, 4, 5, generator=torch.Generator().manual_seed(0))
    file = write_preview(tmp_path / "p" / "step-1", images)
    pixels = np.asarray(Image.open(file)).reshape(4, 5, channels)
    wanted = (images[0].permute(1, 2, 0) * 255).round().numpy()
    assert np.array_equal(pixels, wanted)


def test_texts_become_lines_and_others_tensors(tmp_path):
    assert write_preview(tmp_path / "a", ["one", "two"]).read_text() == "one\ntwo\n"
    file = write_preview(tmp_path / "b", torch.arange(4))
    assert load_tensors(file)["preview"].tolist() == [0, 1, 2, 3]
    with pytest.raises(FrisketError, match="not dict"):
        write_preview(tmp_path / "c", {})

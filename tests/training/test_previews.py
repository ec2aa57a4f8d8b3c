import numpy as np
import pytest
import torch
from PIL import Image

from frisket.core.errors import FrisketError
from frisket.core.files import load_tensors
from frisket.training.previews import write_preview


@pytest.mark.parametrize("channels", [1, 3])
def test_images_become_a_png(tmp_path, channels):
    images = torch.rand(1, channels, 4, 5, generator=torch.Generator().manual_seed(0))
    file = write_preview(tmp_path / "p" / "step-1", images)
    pixels = np.asarray(Image.open(file)).reshape(48, 60, channels)
    wanted = (images[0].permute(1, 2, 0) * 255).round().numpy()
    assert np.array_equal(pixels, np.repeat(np.repeat(wanted, 12, 0), 12, 1))


def test_texts_become_lines_and_others_tensors(tmp_path):
    assert write_preview(tmp_path / "a", ["one", "two"]).read_text() == "one\ntwo\n"
    file = write_preview(tmp_path / "b", torch.arange(4))
    assert load_tensors(file)["preview"].tolist() == [0, 1, 2, 3]
    with pytest.raises(FrisketError, match="not dict"):
        write_preview(tmp_path / "c", {})

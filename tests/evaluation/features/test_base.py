import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.evaluation.features.base import as_rgb, cache_folder, extract
from frisket.evaluation.features.pixels import PixelExtractor


def test_batches_change_nothing():
    x = torch.rand(23, 1, 4, 4)
    one, many = extract(PixelExtractor(), x, batch=100), extract(PixelExtractor(), x, batch=5)
    assert np.array_equal(one.features, many.features)
    assert one.probabilities is None
    assert one.features.dtype == np.float64
    assert np.array_equal(one.take(slice(3, 6)).features, x[3:6].flatten(1).double().numpy())


@pytest.mark.parametrize("x", [torch.zeros(0, 1, 2, 2), torch.full((2, 1, 2, 2), float("nan"))])
def test_refuses_empty_and_broken_samples(x):
    with pytest.raises(FrisketError, match="samples"):
        extract(PixelExtractor(), x)


def test_rgb_repeats_grey_cuts_alpha_and_clamps():
    grey = torch.rand(2, 1, 3, 3)
    assert torch.equal(as_rgb(grey), grey.expand(-1, 3, -1, -1))
    rgba = torch.rand(2, 4, 3, 3) * 3 - 1
    assert torch.equal(as_rgb(rgba), rgba[:, :3].clamp(0, 1))
    with pytest.raises(FrisketError, match="images"):
        as_rgb(torch.rand(2, 2, 3, 3))


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FRISKET_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("FRISKET_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "frisket"

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.data.windows import WindowSource

VALUES = np.stack([np.arange(100.0), np.full(100, 7.0)], axis=1)


def test_windows_are_cut_by_time_and_normalised_by_the_training_part():
    train = WindowSource(VALUES, ("a", "b"), "train", length=5)
    test = WindowSource(VALUES, ("a", "b"), "test", length=5, stride=5)
    assert (train.info.size, test.info.size) == (76, 4)
    mean, std = np.arange(80.0).mean(), np.arange(80.0).std()
    x = train.batch(torch.tensor([3, 0]))["x"]
    assert x.shape == (2, 2, 5)
    assert torch.allclose(x[0, 0].double() * std + mean, torch.arange(3.0, 8.0, dtype=torch.float64), atol=1e-4)
    assert (x[:, 1] == 0).all()
    last = test.batch(torch.tensor([3]))["x"][0, 0].double() * std + mean
    assert torch.allclose(last, torch.arange(95.0, 100.0, dtype=torch.float64), atol=1e-4)
    assert train.info.extra["mean"] == test.info.extra["mean"] == (39.5, 7.0)
    whole = train.batch(torch.arange(0, 76, 5))["x"][:, 0]
    assert abs(whole.mean().item()) < 1e-6


def test_too_short_parts_are_refused():
    with pytest.raises(FrisketError, match="test part has 20 rows, fewer than length = 21"):
        WindowSource(VALUES, ("a", "b"), "test", length=21)
    with pytest.raises(FrisketError, match=r"data\.stride"):
        WindowSource(VALUES, ("a", "b"), "test", length=2, stride=0)

import torch

from frisket.core import from_config, to_config
from frisket.data.digits import Digits
from frisket.evaluation.features.pixels import PixelFeatures


def test_features_are_the_values():
    x = torch.rand(3, 1, 8, 8)
    features, probabilities = PixelFeatures().build(Digits())(x)
    assert torch.equal(features, x.reshape(3, 64))
    assert probabilities is None
    assert from_config(to_config(PixelFeatures())) == PixelFeatures()

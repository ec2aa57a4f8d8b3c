"""The encoder of patches."""

from __future__ import annotations

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError
from frisket.models.backbones.patch_encoder import PatchEncoder
from frisket.models.count import count_parameters, parameters_of_size
from frisket.testing import check_config

STATE = Spec(kind="continuous", shape=(3, 8, 12))


def built():
    return PatchEncoder(width=16, depth=1).fit(STATE, 3, {"label": 5}).build()


def test_features_are_one_a_patch_and_logits_read_their_mean():
    check_config(PatchEncoder())
    model = built()
    x = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    features = model.features(x)
    assert features.shape == (2, 24, 16)
    torch.testing.assert_close(model(x).pred, model.classes(features.mean(1)))
    assert model(x).pred.shape == (2, 5)
    torch.testing.assert_close(features.mean(2), torch.zeros(2, 24), atol=1e-5, rtol=0)  # each token is normalised


def test_a_patch_is_in_its_place():
    """One changed patch changes what its neighbours within the convolutions' reach give, but for the norms; a shift of
    the whole image by a patch shifts the features inside."""
    model = built()
    model.norm, model.blocks[0].norms = torch.nn.Identity(), torch.nn.ModuleList([torch.nn.Identity()] * 2)
    x = torch.randn(1, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    changed = x.clone()
    changed[..., 0:2, 0:2] += 1
    moved = (model.features(changed) - model.features(x)).abs().amax(-1).reshape(4, 6)
    assert (moved[:3, :3] > 1e-6).all()
    assert moved[3:].max() < 1e-6
    assert moved[:, 3:].max() < 1e-6


def test_fit_takes_shape_and_classes_and_refuses_what_is_no_map():
    config = PatchEncoder(width=16).fit(STATE, 3, {"label": 5})
    assert (config.channels, config.size, config.classes) == (3, (8, 12), 5)
    assert parameters_of_size(config) == count_parameters(config.build())
    for spec in (Spec(kind="continuous", shape=(3, 8)), Spec(kind="ids", shape=(8, 8), vocabulary=4)):
        with pytest.raises(FrisketError, match="state"):
            PatchEncoder().fit(spec, 3, {})
    with pytest.raises(FrisketError, match="patch"):
        PatchEncoder(patch=3).fit(STATE, 3, {})
    for name in ("width", "depth", "classes"):
        with pytest.raises(FrisketError, match=f"encoder.{name}"):
            PatchEncoder(**{name: 0})
    with pytest.raises(FrisketError, match=r"encoder\.size"):
        PatchEncoder(size=(8,))


def test_the_summary_is_the_mean_feature_at_unit_mean_square():
    model = built()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.7)
    x = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    mean = model.features(x).mean(1)
    torch.testing.assert_close(
        model.summary(x), mean / mean.square().mean(1, keepdim=True).sqrt(), rtol=1e-3, atol=1e-3
    )

"""The residual trunk: shapes, published size, refusals."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.models.backbones.queries.trunk import Residual, resnet
from frisket.models.init import build_real
from frisket.models.layers.maps import GroupNorm


def test_maps_have_the_stated_channels_and_strides():
    trunk = Residual(widths=(8, 16, 24), depths=(1, 2, 1), stem_width=8)
    maps = build_real(lambda: trunk.build(3))(torch.zeros(2, 3, 32, 16))
    assert [tuple(m.shape) for m in maps] == [
        (2, c, 32 // s, 16 // s) for c, s in zip(trunk.channels, trunk.strides, strict=True)
    ]
    assert trunk.strides == (2, 4, 8)


def test_bottlenecks_and_the_large_stem_start_at_stride_four():
    trunk = Residual(widths=(32, 64), depths=(1, 1), block="bottleneck", stem="7x7", stem_width=8)
    maps = build_real(lambda: trunk.build(1))(torch.zeros(1, 1, 32, 32))
    assert [tuple(m.shape[1:]) for m in maps] == [(32, 8, 8), (64, 4, 4)]
    assert trunk.strides == (4, 8)


@pytest.mark.parametrize(("depth", "parameters"), [(50, 23_454_912), (101, 42_394_816)])
def test_resnets_have_the_published_convolutions(depth, parameters):
    with torch.device("meta"):
        model = resnet(depth).build(3)
    assert sum(p.numel() for p in model.parameters()) == parameters  # torchvision's, less classifier and norms


def test_every_weight_learns():
    model = build_real(lambda: Residual(widths=(8, 16), depths=(2, 1), stem_width=8).build(3))
    out = model(torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    sum(x.square().mean() for x in out).backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in model.parameters())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"widths": (8,), "depths": (1,)}, "trunk.widths"),
        ({"depths": (1, 1)}, "trunk.depths"),
        ({"depths": (1, 0, 1, 1)}, "trunk.depths"),
        ({"widths": (6, 8, 8, 8), "block": "bottleneck"}, "trunk.widths"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, field):
    with pytest.raises(FrisketError, match=field):
        Residual(**changes)


def test_only_the_published_depths_are_resnets():
    with pytest.raises(FrisketError, match="depth = 34"):
        resnet(34)


def test_norms_that_do_not_divide_are_refused():
    with pytest.raises(FrisketError, match="mapnorm.groups"):
        Residual(stem_width=12, norm=GroupNorm(groups=8)).build(3)

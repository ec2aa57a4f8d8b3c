"""Map norms against torch's own, and sine positions against the official table and their formula."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from frisket.core import FrisketError
from frisket.models.init import build_real, marks_of
from frisket.models.layers.maps import FrozenBatchNorm, GroupNorm, Kaiming, conv, sine_positions

GOLDEN = Path(__file__).parents[2] / "golden" / "mask2former_layers.npz"
GENERATOR = torch.Generator().manual_seed(0)


def test_group_norm_is_torchs():
    ours, theirs = build_real(lambda: GroupNorm(groups=4).build(8)), nn.GroupNorm(4, 8)
    with torch.no_grad():
        for name in ("weight", "bias"):
            value = torch.randn(8, generator=GENERATOR)
            getattr(ours, name).copy_(value)
            getattr(theirs, name).copy_(value)
    x = torch.randn(2, 8, 5, 3, generator=GENERATOR)
    torch.testing.assert_close(ours(x), theirs(x))


def test_groups_must_divide_the_channels():
    with pytest.raises(FrisketError, match="groups = 3"):
        GroupNorm(groups=3).build(8)


def test_frozen_batch_norm_is_batch_norm_in_evaluation_and_has_nothing_to_learn():
    ours, theirs = build_real(lambda: FrozenBatchNorm().build(6)), nn.BatchNorm2d(6).eval()
    assert list(ours.parameters()) == []
    values = {n: torch.rand(6, generator=GENERATOR) + 0.1 for n in ("weight", "bias", "mean", "variance")}
    ours.load_state_dict(values)
    theirs.load_state_dict({
        "weight": values["weight"], "bias": values["bias"], "running_mean": values["mean"],
        "running_var": values["variance"], "num_batches_tracked": torch.tensor(0),
    })  # fmt: skip
    x = torch.randn(2, 6, 4, 4, generator=GENERATOR)
    torch.testing.assert_close(ours.train()(x), theirs(x))


def test_a_fresh_frozen_norm_changes_nothing_but_the_scale_of_its_eps():
    x = torch.randn(1, 6, 4, 4, generator=GENERATOR)
    torch.testing.assert_close(build_real(lambda: FrozenBatchNorm().build(6))(x), x / math.sqrt(1 + 1e-5))


@pytest.mark.parametrize(("side", "stride", "size"), [(1, 1, 8), (3, 1, 8), (3, 2, 4), (7, 2, 4)])
def test_convolutions_keep_or_halve_the_size_and_are_marked(side, stride, size):
    layer = build_real(lambda: conv(3, 5, side, stride=stride, law=Kaiming()))
    assert layer(torch.zeros(1, 3, 8, 8)).shape == (1, 5, size, size)
    assert set(marks_of(layer)) == {"weight", "bias"}


def test_kaiming_has_the_variance_of_its_fan_out():
    value = torch.empty(64, 32, 3, 3)
    Kaiming().fill(value, torch.Generator().manual_seed(1))
    assert float(value.var()) == pytest.approx(2 / (64 * 9), rel=0.05)


def test_sine_positions_are_the_official_table():
    with np.load(GOLDEN, allow_pickle=False) as held:
        wanted = torch.from_numpy(held["sine"])  # (3 * 5, 16)
    torch.testing.assert_close(sine_positions((3, 5), 16), wanted, rtol=1e-5, atol=1e-5)


def test_the_first_half_of_the_features_is_the_rows():
    table = sine_positions((4, 6), 8).view(4, 6, 8)
    assert torch.equal(table[:, 0, :4], table[:, 5, :4])
    assert torch.equal(table[0, :, 4:], table[3, :, 4:])
    assert float(table[0, 0, 0]) == pytest.approx(math.sin(2 * math.pi / 4), abs=1e-5)
    assert float(table[0, 0, 5]) == pytest.approx(math.cos(2 * math.pi / 6), abs=1e-5)


def test_a_width_that_has_no_quarters_is_refused():
    with pytest.raises(FrisketError, match="width = 6"):
        sine_positions((2, 2), 6)

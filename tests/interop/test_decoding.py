import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.interop import decoding
from frisket.interop.golden import GOLDEN


def test_rules_equal_official_code():
    assert decoding.plans_difference() == 0
    assert decoding.transfer_difference() == 0
    assert decoding.margin_difference() < 1e-12


@pytest.mark.parametrize(
    ("name", "compute"),
    [("plan/out", decoding.plans_difference), ("top/out", decoding.transfer_difference),
     ("margin/out", decoding.margin_difference)],
)  # fmt: skip
def test_a_changed_array_is_seen(name, compute, tmp_path):
    with np.load(GOLDEN / "decoding.npz", allow_pickle=False) as held:
        arrays = {key: held[key] for key in held.files}
    value = torch.from_numpy(arrays[name].copy())
    value[-1] = value[-1].roll(1, -1)
    np.savez(tmp_path / "decoding.npz", **{**arrays, name: value.numpy()})
    assert compute(tmp_path) > 0


def test_without_the_arrays_nothing_is_claimed(tmp_path):
    with pytest.raises(FrisketError, match="does not exist"):
        decoding.arrays(tmp_path)

import numpy as np
import pytest

from frisket.core import FrisketError
from frisket.interop.golden import GOLDEN
from frisket.interop.md4 import losses_difference


def test_official_schedules_losses_and_gradient():
    assert losses_difference() < 1e-5


def test_another_gradient_is_noticed(tmp_path):
    with np.load(GOLDEN / "md4.npz", allow_pickle=False) as held:
        arrays = dict(held)
    arrays["gen/gradient"] = arrays["gen/gradient"] + 0.1
    np.savez(tmp_path / "md4.npz", **arrays)
    assert losses_difference(tmp_path) > 1e-2


def test_missing_arrays_are_said(tmp_path):
    with pytest.raises(FrisketError, match="source tree"):
        losses_difference(tmp_path)

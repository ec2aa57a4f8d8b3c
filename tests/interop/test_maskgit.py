import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.interop import maskgit
from frisket.interop.golden import GOLDEN
from frisket.sampling.decoding.selects import Budget, CosineCurve, PowerCurve


def test_the_released_decoder_ends_with_the_same_ids():
    assert maskgit.decode_difference() == 0


def test_other_numbers_end_elsewhere(monkeypatch):
    monkeypatch.setattr(maskgit, "TEMPERATURE", 0.1)
    assert maskgit.decode_difference() > 0
    monkeypatch.undo()
    monkeypatch.setattr(maskgit, "CosineCurve", PowerCurve)
    assert maskgit.decode_difference() > 0


def test_schedules_are_the_released_ones():
    with np.load(GOLDEN / "maskgit_decode.npz", allow_pickle=False) as held:
        s = 1 - torch.from_numpy(held["ratio"])
        for name, curve in (("cosine", CosineCurve()), ("pow2", PowerCurve(power=2.0)), ("pow0_5", PowerCurve(power=0.5)),
                            ("uniform", PowerCurve())):  # fmt: skip
            torch.testing.assert_close(curve.share(s), torch.from_numpy(held[f"schedule_{name}"]), rtol=0, atol=1e-6)


def test_without_the_arrays_it_says_so(tmp_path):
    with pytest.raises(FrisketError, match="does not exist"):
        maskgit.decode_difference(tmp_path)
    assert Budget(curve=CosineCurve()).kept == 0

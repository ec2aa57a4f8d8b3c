import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.data.scenes.buckets import bucket_of, buckets, pad


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 8), st.integers(3, 20), st.floats(1.0, 4.0))
def test_buckets_are_multiples_of_nearly_equal_area(multiple, cells, ratio):
    side = multiple * cells
    found = buckets(side, multiple, ratio)
    assert (side, side) in found
    for h, w in found:
        assert h % multiple == w % multiple == 0
        assert max(h, w) / min(h, w) <= ratio + 1e-9
        assert abs(h * w - side**2) <= max(h, w) * multiple / 2 + 1
        assert (w, h) in found


def test_known_buckets():
    assert buckets(32, 8) == ((24, 40), (32, 32), (40, 24))
    for side, multiple, ratio in ((8, 9, 2.0), (8, 0, 2.0), (8, 4, 0.5)):
        with pytest.raises(FrisketError):
            buckets(side, multiple, ratio)


def test_items_keep_their_bucket():
    a = bucket_of(0, torch.arange(3000), 3)
    assert torch.equal(bucket_of(0, torch.tensor([17]), 3)[0], a[17])
    assert a.bincount().min() > 900


def test_pad_marks_what_is_real():
    x, valid = pad([torch.ones(3, 2, 4), torch.ones(3, 4, 2)], (4, 4))
    assert x.shape == (2, 3, 4, 4)
    assert torch.equal(x[:, :1] == 1, valid)
    assert valid.sum((1, 2, 3)).tolist() == [8, 8]

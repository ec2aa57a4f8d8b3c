import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.codecs.pixels import Pixels
from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.data.series import Series


def test_the_default_maps_the_unit_range_to_plus_minus_one():
    codec = Pixels().build()
    x = torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3)
    assert codec.encode(x).flatten().tolist() == [-1.0, -0.5, 1.0]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=4), st.floats(0.1, 5), st.integers(1, 3))
def test_decoding_undoes_encoding_per_channel(mean, std, dims):
    codec = Pixels(mean=tuple(mean), std=(std,), clamp=False)
    x = torch.rand(2, len(mean), *[3] * dims, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(codec.decode(codec.encode(x)), x, atol=1e-5)


def test_fitted_statistics_make_the_training_states_standard():
    source = Series(name="eeg", length=32, stride=32).open()
    codec = Pixels(fitted=True, clamp=False).fit(source)
    state = codec.encode(source.batch(torch.arange(source.info.size))["x"])
    assert torch.allclose(state.mean((0, 2)), torch.zeros(4), atol=1e-5)
    assert torch.allclose(state.std((0, 2)), torch.ones(4), atol=1e-4)
    assert Pixels().fit(source) == Pixels()


def test_decoding_clamps_and_passes_gradients():
    state = torch.tensor([[[[-3.0, 0.5, 3.0]]]], requires_grad=True)
    x = Pixels().decode(state)
    assert x.flatten().tolist() == [0.0, 0.75, 1.0]
    x.sum().backward()
    assert state.grad is not None
    assert state.grad.flatten().tolist() == [0.0, 0.5, 0.0]


def test_spec_and_refusal():
    spec = Pixels().spec(Digits().open().info)
    assert (spec.kind, spec.shape, spec.vocabulary) == ("continuous", (1, 8, 8), None)
    with pytest.raises(FrisketError, match=r"codec\.std"):
        Pixels(std=(1.0, 0.0))

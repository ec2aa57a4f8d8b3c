import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core.errors import FrisketError
from frisket.tasks.objectives.distances import Cosine, SmoothL1
from frisket.testing import check_config

A, B = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))


def test_cosine_is_over_the_axis_that_is_named():
    check_config(Cosine(over="tokens"))
    over_channels, over_tokens = torch.empty(3), torch.empty(3)
    for i in range(3):
        a, b = A[i], B[i]
        over_channels[i] = 1 - torch.stack([a[n] @ b[n] / a[n].norm() / b[n].norm() for n in range(5)]).mean()
        over_tokens[i] = 1 - torch.stack([a[:, d] @ b[:, d] / a[:, d].norm() / b[:, d].norm() for d in range(4)]).mean()
    torch.testing.assert_close(Cosine().between(A, B), over_channels)
    torch.testing.assert_close(Cosine(over="tokens").between(A, B), over_tokens)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.01, 100), over=st.sampled_from(["channels", "tokens"]))
def test_cosine_ignores_length_and_lies_between_0_and_2(scale, over):
    distance = Cosine(over=over)
    torch.testing.assert_close(distance.between(A, A * scale), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(distance.between(A, -A * scale), torch.full((3,), 2.0), atol=1e-5, rtol=0)
    found = distance.between(A, B * scale)
    assert ((found >= 0) & (found <= 2)).all()


def test_smooth_l1_is_quadratic_near_zero_and_linear_beyond():
    check_config(SmoothL1())
    for gap, wanted in ((0.02, 0.02**2 / 0.1), (0.05, 0.025), (0.3, 0.275)):
        torch.testing.assert_close(
            SmoothL1(beta=0.05).between(A, A + gap), torch.full((3,), wanted), atol=1e-6, rtol=1e-4
        )
    with pytest.raises(FrisketError, match=r"distance\.beta"):
        SmoothL1(beta=0)

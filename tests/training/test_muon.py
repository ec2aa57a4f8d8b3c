import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from frisket.training.muon import Muon, orthogonalise


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6))
def test_singular_values_come_near_one_and_directions_stay(rows, columns, seed):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    u, s, vt = u[:, s > 0.05 * s[0]], s[s > 0.05 * s[0]], vt[s > 0.05 * s[0]]
    inside = u.T @ orthogonalise(matrix) @ vt.T
    assert inside.diagonal().min() > 0.6
    assert inside.diagonal().max() < 1.3
    assert (inside - inside.diagonal().diag()).abs().max() < 1e-2


def test_scale_does_not_matter_and_nothing_stays_nothing():
    matrix = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(orthogonalise(matrix), orthogonalise(1000 * matrix), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(orthogonalise(matrix).T, orthogonalise(matrix.T))
    assert torch.equal(orthogonalise(torch.zeros(3, 4)), torch.zeros(3, 4))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon came with torch 2.9")
def test_steps_are_those_of_torch_to_its_bfloat16():
    generator = torch.Generator().manual_seed(2)
    ours = nn.Parameter(torch.randn(8, 4, generator=generator))
    theirs = nn.Parameter(ours.detach().clone())
    a = Muon([ours], lr=0.1, momentum=0.9, weight_decay=0.01)
    b = torch.optim.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        ours.grad = torch.randn(8, 4, generator=generator)
        theirs.grad = ours.grad.clone()
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=6e-3)

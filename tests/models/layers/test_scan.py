"""The scan against its recurrence written out, in both forms, and what they cost."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from frisket.core import FrisketError
from frisket.models.layers.scan import MACS_PER_STATE, chunk_of, selective_scan


def inputs(g=2, r=3, n=13, e=5, s=4, dtype=torch.float64, seed=0):
    made = torch.Generator().manual_seed(seed)
    u, b, c = (torch.randn(g, r, n, k, generator=made, dtype=dtype) for k in (e, s, s))
    dt = torch.rand(g, r, n, e, generator=made, dtype=dtype) * 2
    a = -torch.randn(g, e, s, generator=made, dtype=dtype).exp()
    return [v.requires_grad_() for v in (u, dt, a, b, c)]


def written_out(u, dt, a, b, c):
    """y_n = sum over m <= n of <c_n, exp(a (dt_(m+1) + .. + dt_n)) u_m b_m>."""
    total = dt.cumsum(2)
    n = u.shape[2]
    y = torch.zeros_like(u)
    for i in range(n):
        for m in range(i + 1):
            decay = torch.exp((total[:, :, i] - total[:, :, m])[..., None] * a[:, None])
            y[:, :, i] += (decay * (u[:, :, m, :, None] * b[:, :, m, None])).mul(c[:, :, i, None]).sum(-1)
    return y


@pytest.mark.parametrize("kernel", ["sequential", "chunked"])
def test_it_is_the_sum_written_out(kernel):
    values = [v.detach() for v in inputs(n=7)]
    torch.testing.assert_close(selective_scan(*values, kernel=kernel), written_out(*values), rtol=1e-10, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 17), st.integers(1, 20), st.integers(0, 99))
def test_chunks_of_any_length_give_the_sequential_values_and_gradients(n, chunk, seed):
    values = inputs(n=n, seed=seed)
    wanted, y = selective_scan(*values, kernel="sequential"), selective_scan(*values, chunk=chunk)
    torch.testing.assert_close(y, wanted, rtol=1e-10, atol=1e-10)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    theirs, ours = (torch.autograd.grad((v * weight).sum(), values) for v in (wanted, y))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_the_two_forms_agree_to_float_rounding():
    values = [v.detach() for v in inputs(n=300, e=16, dtype=torch.float32)]
    wanted = selective_scan(*values, kernel="sequential")
    for chunk in (1, 7, 17, 64, 300):
        torch.testing.assert_close(selective_scan(*values, chunk=chunk), wanted, rtol=1e-5, atol=1e-5)


def test_the_gradient_is_the_one_of_differences():
    values = inputs(g=1, r=2, n=6, e=2, s=3)
    assert torch.autograd.gradcheck(lambda *v: selective_scan(*v, chunk=2), values)


def test_strong_decay_neither_overflows_nor_divides_by_nothing():
    u, dt, a, b, c = (v.detach().float() for v in inputs(n=64))
    y = selective_scan(u, (dt + 1) * 1e4, a, b, c, chunk=8)
    torch.testing.assert_close(y, u * (b * c).sum(-1, keepdim=True), rtol=1e-5, atol=1e-5)


def test_without_decay_it_is_a_running_sum():
    u, dt, a, b, _ = (v.detach() for v in inputs(s=1))
    ones = torch.ones_like(b)
    y = selective_scan(u, dt, torch.zeros_like(a), ones, ones)
    torch.testing.assert_close(y, u.cumsum(2))


def test_half_precision_is_scanned_in_float32():
    u, dt, a, b, c = (v.detach().float() for v in inputs(n=100))
    half = [v.bfloat16() for v in (u, dt, a, b, c)]
    y = selective_scan(*half)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, selective_scan(*(v.float() for v in half)).bfloat16())


def test_chunks_follow_the_work_at_hand():
    assert chunk_of((2, 64, 64, 128), 16) == 64  # a large batch fills the processor
    assert chunk_of((2, 1, 4096, 128), 16) == 128
    assert chunk_of((1, 1, 16, 2), 2) == 4
    assert chunk_of((1, 1, 0, 2), 2) == 1


def test_operations_count_as_stated_whatever_the_chunk():
    shapes = ((2, 3, 40, 6), (2, 3, 40, 6), (2, 6, 5), (2, 3, 40, 5), (2, 3, 40, 5))
    meta = [torch.empty(s, device="meta") for s in shapes]
    counts = []
    for kernel, chunk in (("chunked", None), ("chunked", 7), ("sequential", None)):
        with FlopCounterMode(display=False) as counter:
            selective_scan(*meta, kernel=kernel, chunk=chunk)
        counts.append(counter.get_total_flops() // 2)
    assert counts == [MACS_PER_STATE * 2 * 3 * 40 * 6 * 5] * 3
    real = [torch.rand(s).requires_grad_() for s in shapes]
    with FlopCounterMode(display=False) as counter:
        selective_scan(*real, chunk=7).sum().backward()
    assert counter.get_total_flops() // 2 == 3 * counts[0]


def test_a_second_derivative_is_refused_by_one_form_and_given_by_the_other():
    values = inputs(g=1, r=1, n=5, e=2, s=2)
    once = torch.autograd.grad(selective_scan(*values, kernel="sequential").square().sum(), values, create_graph=True)
    torch.autograd.grad(once[0].sum(), values[1])
    once = torch.autograd.grad(selective_scan(*values).square().sum(), values, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        once[0].sum().backward()


def test_shapes_on_meta_are_the_real_ones():
    values = [v.detach() for v in inputs(n=11)]
    real = torch.ops.frisket.selective_scan(*values, 4)
    ghost = torch.ops.frisket.selective_scan(*(v.to("meta") for v in values), 4)
    assert [v.shape for v in real] == [v.shape for v in ghost]


def test_unknown_kernels_and_empty_chunks_are_refused():
    values = inputs()
    with pytest.raises(FrisketError, match="scan kernel"):
        selective_scan(*values, kernel="cuda")
    with pytest.raises(FrisketError, match="chunk"):
        selective_scan(*values, chunk=0)

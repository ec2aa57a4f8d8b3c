import pytest
import torch

from frisket.core import FrisketError, from_config, to_config
from frisket.processes import Gaussian
from frisket.processes.clocks import CleanKnown, Global, PerSegment, at_known, by_segment
from frisket.processes.known import Known
from frisket.processes.masked import Masked

T = torch.tensor([[0.2, 0.6], [0.3, 0.9]])


def test_global_passes_times_through_and_refuses_what_does_not_fit():
    t = torch.tensor([0.1, 0.2])
    assert Global().local(t, (3, 4)) is t
    per_element = torch.rand(2, 1, 4)
    assert Global().local(per_element, (3, 4)) is per_element
    with pytest.raises(FrisketError, match="fits neither"):
        Global().local(torch.rand(2, 5), (3, 4))


def test_segments_along_an_axis():
    clock = PerSegment(segments=(0, 0, 1), axis=1)
    local = clock.local(T, (5, 3, 2, 2))
    assert local.shape == (2, 1, 3, 1, 1)
    assert torch.equal(local[:, 0, :, 0, 0], torch.tensor([[0.2, 0.2, 0.6], [0.3, 0.3, 0.9]]))
    assert clock.count() == 2


def test_clean_segments_stay_data_and_leave_the_loss():
    process = Gaussian(clock=PerSegment(segments=(0, 1), axis=1, clean=(0,)))
    gen = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 3, 2, 4, generator=gen), torch.randn(2, 3, 2, 4, generator=gen)
    c = process.corrupt(x0, torch.tensor([0.4, 0.8]), noise)
    assert torch.equal(c.x_t[:, :, 0], x0[:, :, 0])
    assert not torch.allclose(c.x_t[:, :, 1], x0[:, :, 1])
    from frisket.core import Output

    wrong = torch.zeros_like(x0)
    wrong[:, :, 1] = (noise - x0)[:, :, 1]
    assert process.loss(Output(wrong), c)["denoise"].abs().max() < 1e-9


def test_masked_uses_the_same_clock():
    process = Masked(vocabulary=3, clock=PerSegment(segments=(0, 0, 0, 1, 1, 1), clean=(0,)))
    x0 = torch.zeros(2, 6, dtype=torch.long)
    c = process.corrupt(x0, torch.ones(2), torch.full((2, 6), 0.5))
    assert torch.equal(c.hidden, torch.tensor([[False] * 3 + [True] * 3] * 2))


def test_by_segment():
    ids = torch.tensor([[0, 1, -1], [1, 1, 0]])
    assert torch.equal(by_segment(T, ids), torch.tensor([[0.2, 0.6, 0.0], [0.9, 0.9, 0.3]]))


def test_asked_time_is_the_latest_segment():
    process = Gaussian(clock=PerSegment(segments=(0, 1), axis=0))
    c = process.corrupt(torch.zeros(2, 2), T, torch.ones(2, 2))
    assert torch.equal(c.t, torch.tensor([0.6, 0.9]))
    assert torch.equal(c.x_t, T)


def test_what_is_known_is_told_time_zero_and_leaves_the_loss():
    process, plain = Gaussian(clock=CleanKnown()), Gaussian()
    x0, noise = torch.ones(2, 1, 4), torch.full((2, 1, 4), 3.0)
    known = Known(values=x0, where=torch.tensor([[[True, True, False, False]], [[False] * 4]]))
    t = torch.tensor([0.5, 0.25])
    c = process.corrupt(x0, t, noise, known)
    assert torch.equal(c.local, torch.tensor([[[0.0, 0.0, 0.5, 0.5]], [[0.25] * 4]]))
    assert torch.equal(c.x_t, plain.corrupt(x0, t, noise, known).x_t)
    assert torch.equal(c.t, t)
    from frisket.core import Output

    pred = torch.zeros(2, 1, 4, requires_grad=True)
    process.loss(Output(pred), c)["denoise"].sum().backward()
    assert torch.equal(pred.grad[0, 0] != 0, torch.tensor([False, False, True, True]))
    assert (pred.grad[1] != 0).all()
    assert process.corrupt(x0, t, noise).local is t


def test_only_a_clock_with_a_say_changes_the_times_of_what_is_known():
    t, where = torch.tensor([0.2, 0.6]), torch.tensor([[[True, False]], [[False, True]]])
    assert at_known(Global(), t, where) is t
    assert at_known(None, t, where) is t
    assert at_known(CleanKnown(), t, None) is t
    assert torch.equal(at_known(CleanKnown(), t, where), torch.tensor([[[0.0, 0.2]], [[0.6, 0.0]]]))
    each = torch.tensor([[[0.1, 0.2]], [[0.3, 0.4]]])
    assert torch.equal(at_known(CleanKnown(), each, where), torch.tensor([[[0.0, 0.2]], [[0.3, 0.0]]]))
    inner = CleanKnown(of=PerSegment(segments=(0, 1), axis=1))
    assert inner.count() == 2
    assert torch.equal(inner.local(T, (1, 2)), T[:, None])


def test_masked_ids_that_are_known_stay_seen():
    process = Masked(vocabulary=3, clock=CleanKnown())
    x0 = torch.zeros(1, 4, dtype=torch.long)
    where = torch.tensor([[True, False, True, False]])
    c = process.corrupt(x0, torch.ones(1), torch.full((1, 4), 0.5), Known(values=x0, where=where))
    assert torch.equal(c.hidden, ~where)
    assert torch.equal(c.local, (~where).float())


def test_errors_and_round_trip():
    with pytest.raises(FrisketError, match="without gaps"):
        PerSegment(segments=(0, 2))
    with pytest.raises(FrisketError, match=r"clock\.clean"):
        PerSegment(segments=(0, 1), clean=(5,))
    clock = PerSegment(segments=(0, 1), axis=1)
    with pytest.raises(FrisketError, match="positions"):
        clock.local(torch.rand(2), (3, 4))
    with pytest.raises(FrisketError, match=r"\(b, 2\)"):
        clock.local(torch.rand(2, 3), (3, 2))
    assert from_config(to_config(clock)) == clock
    assert from_config(to_config(CleanKnown(of=clock))) == CleanKnown(of=clock)
